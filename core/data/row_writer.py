"""The one place that writes to a cache: bytes first, and only then the mark that they count."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from core.data.cache_rows import ABSENT, ROW, CachePlace, Rows, sealed
from core.data.quarantine import write_quarantine
from core.errors import DataError
from core.store.disk import require_free_bytes, size_in_words

_ROWS_PER_GROUP = 256
_SECONDS_PER_GROUP = 2.0
_SPARE_BYTES = 2**20  # for the list of quarantined images and the file system's own needs

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outcome(NamedTuple):
    """What became of one image.

    ``record`` is its row's new record, None where the file could not be read now and should
    be tried again next time. ``pixels_SS`` is None where the row's bytes stay as they are.
    ``reason`` says why there are no pixels.
    """

    row: int
    record: Rows | None
    pixels_SS: NDArray[np.uint8] | None
    reason: str | None


class RowWriter:
    """Writes outcomes in groups: pixels, fsync, quarantine list, marks, fsync.

    It writes to the files and not through the memory map, where a full disk would be a
    signal that kills the program instead of an error. Leaving the ``with`` block commits
    what was put, also on the way out of an error.

    Args:
        place: the cache.
        rows: the records on disk; brought up to date with each commit.
        reasons: name -> reason of the quarantined images; brought up to date at once.
    """

    def __init__(self, place: CachePlace, rows: Rows, reasons: dict[str, str]) -> None:
        self._place = place
        self._rows = rows
        self._reasons = reasons
        self._reasons_written = dict(reasons)
        self._pending: dict[int, Rows] = {}
        self._group_started = time.monotonic()

    def __enter__(self) -> Self:
        self._pixels = os.open(self._place.pixels_file, os.O_WRONLY)
        try:
            self._marks = os.open(self._place.rows_file, os.O_WRONLY)
        except OSError:
            os.close(self._pixels)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.commit()
        except OSError:
            # Already on the way out of an error, that one is the cause. What could not be
            # committed now is unmarked, and is decoded again next time.
            if error is None:
                raise
        finally:
            os.close(self._pixels)
            os.close(self._marks)

    def put(self, outcome: Outcome) -> None:
        """Write an outcome; it counts from the next commit on.

        Raises:
            OSError: the disk is full or fails.
        """
        name = self._place.names[outcome.row]
        if outcome.reason is None:
            self._reasons.pop(name, None)
        else:
            self._reasons[name] = outcome.reason
        if outcome.pixels_SS is not None:
            self._forget(outcome.row)
            start = outcome.row * self._place.row_bytes
            _write_all(self._pixels, outcome.pixels_SS.tobytes(), start)
        if outcome.record is not None:
            self._pending[outcome.row] = outcome.record
        overdue = time.monotonic() - self._group_started > _SECONDS_PER_GROUP
        if overdue or len(self._pending) >= _ROWS_PER_GROUP:
            self.commit()

    def commit(self) -> None:
        """Make what was put so far count.

        Raises:
            OSError: the disk is full or fails; then nothing of this group counts.
        """
        if self._pending:
            os.fsync(self._pixels)
        if self._reasons != self._reasons_written:
            write_quarantine(self._place.quarantine_file, self._reasons)
            self._reasons_written = dict(self._reasons)
        if self._pending:
            row_numbers = np.array(sorted(self._pending), dtype=np.int64)
            records = np.array([self._pending[int(row)] for row in row_numbers], dtype=ROW)
            self._require_same_files()
            self._mark(row_numbers, records)
            self._pending.clear()
        self._group_started = time.monotonic()

    def _require_same_files(self) -> None:
        """What was written must be what readers will find under these names."""
        for descriptor, path in (
            (self._pixels, self._place.pixels_file),
            (self._marks, self._place.rows_file),
        ):
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise OSError(errno.ESTALE, "its files were replaced meanwhile", str(path))

    def _forget(self, row: int) -> None:
        """Before other bytes take a row's place, its mark must be gone from the disk."""
        if self._rows["state"][row] != ABSENT:
            self._mark(np.array([row], dtype=np.int64), np.zeros(1, ROW))

    def _mark(self, row_numbers: NDArray[np.int64], records: Rows) -> None:
        marks = sealed(records, row_numbers)
        for row, mark in zip(row_numbers.tolist(), marks, strict=True):
            _write_all(self._marks, mark.tobytes(), row * ROW.itemsize)
        os.fsync(self._marks)
        self._rows[row_numbers] = marks


def require_free_space(place: CachePlace, num_rows: int) -> None:
    """Refuse before the start what the disk can't hold.

    Raises:
        NoRoomError: with what is needed, what is free, and where else it could go.
    """
    require_free_bytes(
        place.folder,
        num_rows * place.row_bytes + _SPARE_BYTES,
        f"the cache of {num_rows:,} images at {place.size_px} px",
        "--cache",
    )


@contextmanager
def named_disk_errors(place: CachePlace, num_rows: int) -> Iterator[None]:
    """Turn a full or failing disk into an error that says which, and what to do.

    Raises:
        DataError: in place of any OSError inside.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever was told of the progress is gone; that is no fault of the disk
    except OSError as error:
        kept = "The images that were decoded before are kept"
        remedy = "Name a folder on another disk with --cache DIR, or make room there"
        what = f"the cache can't be written: {error.strerror or error}"
        if error.errno in _FULL:
            needed = size_in_words(num_rows * place.row_bytes + _SPARE_BYTES)
            what = (
                f"the disk of the cache is full, or its quota is used up ({error.strerror}); "
                f"{num_rows:,} images at {place.size_px} px needed {needed} at the start"
            )
        raise DataError(what, where=place.folder, why=kept, remedy=remedy) from error


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    """All of it: a disk that fills up takes a part first, and says why at the next attempt."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
