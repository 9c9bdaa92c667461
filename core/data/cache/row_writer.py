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

from core.data.cache.cache_rows import (
    ABSENT,
    DONE,
    NO_SLOT,
    ROW,
    CachePlace,
    Rows,
    pixels_checksum,
    sealed,
)
from core.data.cache.quarantine import write_quarantine
from core.errors import DataError
from core.store.disk import require_free_bytes, size_in_words
from core.store.own_folder import open_own_file

_ROWS_PER_GROUP = 256
_SECONDS_PER_GROUP = 2.0
_SPARE_BYTES = 2**20  # for the list of quarantined images and the file system's own needs

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outcome(NamedTuple):
    """What became of one image.

    ``record`` is its row's new record, None where the file could not be read now and should
    be tried again next time. ``pixels_SS`` is None where the record's slot has its bytes.
    ``reason`` says why there are no pixels.
    """

    row: int
    record: Rows | None
    pixels_SS: NDArray[np.uint8] | None
    reason: str | None


class RowWriter:
    """Appends outcomes in groups: pixels, fsync, quarantine list, records, fsync.

    A slot that has a record is never written again: others may be reading it. Leaving the ``with``
    block commits what was put, also on the way out of an error.

    Args:
        folder: a descriptor of the cache's folder, in which links are refused.
        place: the cache.
        log: the records on disk.
        reasons: name -> reason of the quarantined images; brought up to date at once.
    """

    def __init__(self, folder: int, place: CachePlace, log: Rows, reasons: dict[str, str]) -> None:
        self._folder = folder
        self._place = place
        self._reasons = reasons
        self._reasons_written = dict(reasons)
        self._pending: list[Rows] = []
        filled = np.flatnonzero(log["state"] != ABSENT)
        self._end = int(filled[-1]) + 1 if len(filled) else 0
        slots = log["slot"][log["state"] == DONE]
        self._used = np.zeros(len(place.names), bool)
        self._used[slots[slots < len(place.names)]] = True
        self._next_slot = max(len(place.names), int(slots.max(initial=0)) + 1)
        self._group_started = time.monotonic()

    def __enter__(self) -> Self:
        self._pixels = open_own_file(self._folder, self._place.pixels_file.name, os.O_WRONLY)
        try:
            self._log = open_own_file(self._folder, self._place.rows_file.name, os.O_WRONLY)
        except (OSError, DataError):
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
            # committed now has no record, and is decoded again next time.
            if error is None:
                raise
        finally:
            os.close(self._pixels)
            os.close(self._log)

    def put(self, outcome: Outcome) -> Rows | None:
        """Write an outcome; it counts from the next commit on. Its record, with its slot.

        Raises:
            OSError: the disk is full or fails.
        """
        name = self._place.names[outcome.row]
        if outcome.reason is None:
            self._reasons.pop(name, None)
        else:
            self._reasons[name] = outcome.reason
        record = outcome.record
        if record is not None:
            record = record.copy()
            record["row"] = outcome.row
            if outcome.pixels_SS is not None:
                record["slot"] = self._write(outcome.row, outcome.pixels_SS)
                record["checksum"] = pixels_checksum(outcome.pixels_SS)
            elif record["state"] != DONE:
                record["slot"] = NO_SLOT
            self._pending.append(record)
        overdue = time.monotonic() - self._group_started > _SECONDS_PER_GROUP
        if overdue or len(self._pending) >= _ROWS_PER_GROUP:
            self.commit()
        return record

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
            self._require_same_files()
            places = self._end + np.arange(len(self._pending))
            records = sealed(np.array(self._pending, dtype=ROW), places)
            _write_all(self._log, records.tobytes(), self._end * ROW.itemsize)
            os.fsync(self._log)
            self._end += len(self._pending)
            self._pending.clear()
        self._group_started = time.monotonic()

    def _require_same_files(self) -> None:
        """What was written must be what readers will find under these names."""
        for descriptor, path in (
            (self._pixels, self._place.pixels_file),
            (self._log, self._place.rows_file),
        ):
            if not os.path.samestat(os.fstat(descriptor), path.lstat()):
                raise OSError(errno.ESTALE, "its files were replaced meanwhile", str(path))

    def _write(self, row: int, pixels_SS: NDArray[np.uint8]) -> int:
        """Into the slot of the row's own number where no record has it, else into a new one."""
        slot = row
        if self._used[row]:
            slot, self._next_slot = self._next_slot, self._next_slot + 1
        else:
            self._used[row] = True
        _write_all(self._pixels, pixels_SS.tobytes(), slot * self._place.row_bytes)
        return slot


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
