"""The CSV that predictions are appended to: whole rows at any moment, and none twice."""

from __future__ import annotations

import csv
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from core.errors import DataError, RunFailedError, UsageError
from core.evaluation.predicting.rows import Totals, columns_of, csv_lines, file_cell

_SECONDS_BETWEEN_SYNCS = 2.0
_LONGEST_ROW_BYTES = 2**20


class RowFile:
    """Rows of a prediction in a file, for one process.

    After a kill the last row may be torn: it is cut off, and the image scored again.

    Args:
        path: the file.
        findings: of the network.
        resume: go on with a file that is there; else it must not exist.

    Raises:
        UsageError: the file exists already, or another process writes it.
        DataError: it is no such file, or of another network.
        RunFailedError: it can't be written.
    """

    def __init__(self, path: Path, findings: Sequence[str], *, resume: bool) -> None:
        self.path = path
        self.totals = Totals(tuple(findings))
        self._columns = columns_of(findings)
        self._known: set[int] = set()
        self._synced = time.monotonic()
        self._descriptor = _opened(path, resume=resume)
        try:
            self._lock()
            self._end = self._begin()
        except BaseException:
            os.close(self._descriptor)
            raise

    def is_new(self, file: str) -> bool:
        """Whether there is no row of this image yet, nor one promised by an earlier question."""
        number = _number(file_cell(file))
        if number in self._known:
            return False
        self._known.add(number)
        return True

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Append rows.

        Raises:
            RunFailedError: the disk is full or fails; the rows before are whole.
        """
        content = csv_lines(rows)
        try:
            self._append(content)
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                self.sync()
        except OSError as error:
            raise self._failed(error) from error
        for cells in rows:
            self.totals.add(cells)

    def sync(self) -> None:
        """Have all rows on disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise self._failed(error) from error
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.sync()
        finally:
            os.close(self._descriptor)

    def _append(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:  # a full disk takes a part first
                view = view[os.write(self._descriptor, view) :]
        except BaseException:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(content)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(
                    "another process writes it",
                    where=self.path,
                    remedy="Wait for its end, or name another file with --out.",
                ) from error
            # A file system without locks.

    def _begin(self) -> int:
        """Read what is there, cut off a torn row, and write the header; the file's end."""
        header = csv_lines([self._columns])
        end = 0
        try:
            with os.fdopen(os.dup(self._descriptor), "rb") as stream:
                for line, record in _whole_records(stream, self.path):
                    self._take(line, record, header)
                    end += len(record)
                if not end:
                    stream.seek(0)
                    self._refuse_another(stream.read(len(header)), header)
            os.ftruncate(self._descriptor, end)
            os.lseek(self._descriptor, end, os.SEEK_SET)
            self._end = end
            if not end:
                self._append(header)
        except OSError as error:
            raise self._failed(error) from error
        return self._end

    def _take(self, line: int, record: bytes, header: bytes) -> None:
        if line == 1:
            if record.removeprefix(b"\xef\xbb\xbf") != header:
                self._refuse_another(record, header)
            return
        try:
            (cells,) = csv.reader([record.decode()])
        except (ValueError, csv.Error):
            cells = []
        if len(cells) != len(self._columns):
            raise DataError(
                "is no row of a prediction",
                where=f"{self.path} line {line}",
                why="It was changed, or damaged: what follows can't be trusted",
                remedy="Restore the file, or name another with --out",
            )
        self._known.add(_number(cells[0]))
        self.totals.add(cells)

    def _refuse_another(self, found: bytes, header: bytes) -> None:
        if not header.startswith(found):
            raise DataError(
                "is not a prediction of this session's findings: its columns are others",
                where=self.path,
                why="Rows of two networks in one file could not be told apart",
                remedy="Name another file with --out",
            )

    def _failed(self, error: OSError) -> RunFailedError:
        rows = self.totals.images
        return RunFailedError(
            f"can't be written: {error.strerror or error}",
            where=self.path,
            why=f"Its {rows:,} rows so far are whole.",
            remedy="Free space on that disk, then run the same command with --resume.",
        )


def _opened(path: Path, *, resume: bool) -> int:
    # Opening a pipe without a reader would block.
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | (0 if resume else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError as error:
        raise UsageError(
            "the output exists already",
            where=path,
            why="It would be overwritten.",
            remedy="Go on with it by --resume, or name another file with --out.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"the output can't be written ({error.strerror})",
            where=path,
            remedy="Name another file with --out.",
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError("the output is not a regular file", where=path)
    return descriptor


def _whole_records(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Each complete record with the number of its first line; a name may hold line breaks."""
    record, first = b"", 1
    for line, piece in enumerate(stream, start=1):
        record += piece
        if len(record) > _LONGEST_ROW_BYTES:
            raise DataError(
                f"a row of more than {_LONGEST_ROW_BYTES:,} bytes",
                where=f"{path} line {first}",
                remedy="Restore the file, or name another with --out",
            )
        # Within quotes a quote is doubled: an even number of them means that none is open.
        if record.count(b'"') % 2 == 0 and record.endswith(b"\n"):
            yield first, record
            record, first = b"", line + 1


def _number(cell: str) -> int:
    """64 bits of a name: a million names take a tenth of their own size."""
    digest = hashlib.blake2b(cell.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
