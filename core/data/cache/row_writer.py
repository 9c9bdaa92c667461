"""Write to a cache: bytes first, then the record that makes them valid."""

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
_SPARE_BYTES = 2**20  # for the quarantine list and the file system

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outcome(NamedTuple):
    """The result of decoding one image.

    ``record`` is its row's new record, None if the file could not be read now and should be tried
    again next time. ``pixels_SS`` is None if the record's slot already has its bytes. ``reason``
    says why there are no pixels.
    """

    row: int
    record: Rows | None
    pixels_SS: NDArray[np.uint8] | None
    reason: str | None


class RowWriter:
    """Appends outcomes in groups: pixels, fsync, quarantine list, records, fsync.

    A slot with a record is never overwritten, since others may be reading it. Leaving the ``with``
    block commits pending outcomes, even after an error.

    Args:
        folder: a descriptor of the cache's folder; links in it are refused.
        place: the cache.
        log: the records on disk.
        reasons: name -> reason of the quarantined images; updated immediately.
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
            # An earlier error is the cause and propagates. Uncommitted images have no record, and
            # are decoded again next time.
            if error is None:
                raise
        finally:
            os.close(self._pixels)
            os.close(self._log)

    def put(self, outcome: Outcome) -> Rows | None:
        """Write an outcome, which the next commit makes valid; returns its record with its slot.

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
        """Make all outcomes so far valid.

        Raises:
            OSError: the disk is full or fails; then nothing of this group is valid.
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
        """Check that readers will find the written files under these names."""
        for descriptor, path in (
            (self._pixels, self._place.pixels_file),
            (self._log, self._place.rows_file),
        ):
            if not os.path.samestat(os.fstat(descriptor), path.lstat()):
                raise OSError(errno.ESTALE, "its files were replaced meanwhile", str(path))

    def _write(self, row: int, pixels_SS: NDArray[np.uint8]) -> int:
        """Write to the slot of the row's own number if no record has it, else to a new one."""
        slot = row
        if self._used[row]:
            slot, self._next_slot = self._next_slot, self._next_slot + 1
        else:
            self._used[row] = True
        _write_all(self._pixels, pixels_SS.tobytes(), slot * self._place.row_bytes)
        return slot


def require_free_space(place: CachePlace, num_rows: int) -> None:
    """Refuse to start if the disk has too little free space.

    Raises:
        NoRoomError: with the space needed, the space free, and how to choose another folder.
    """
    require_free_bytes(
        place.folder,
        num_rows * place.row_bytes + _SPARE_BYTES,
        f"the cache of {num_rows:,} images at {place.size_px} px",
        "--cache",
    )


@contextmanager
def named_disk_errors(place: CachePlace, num_rows: int) -> Iterator[None]:
    """Turn a full or failing disk into an error that names it, with a remedy.

    Raises:
        DataError: instead of any OSError inside.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of the progress is gone, which isn't a disk error
    except OSError as error:
        kept = "Images decoded so far are kept"
        remedy = "Name a folder on another disk with --cache DIR, or free space there"
        what = f"the cache can't be written: {error.strerror or error}"
        if error.errno in _FULL:
            needed = size_in_words(num_rows * place.row_bytes + _SPARE_BYTES)
            what = (
                f"the disk of the cache is full, or the quota is exhausted ({error.strerror}); "
                f"{num_rows:,} images at {place.size_px} px needed {needed} at the start"
            )
        raise DataError(what, where=place.folder, why=kept, remedy=remedy) from error


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write everything: a full disk accepts a part first, and reports the error at the next
    write."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
