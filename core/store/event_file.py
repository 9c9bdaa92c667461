"""Append to events.jsonl on a disk that may be full or may lose data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from core.store.files import open_own, sync_folder

_MOST_UNSYNCED_BYTES = 2**20
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Prefix:
    """Length and XXH3 digest (128 bits) of the first bytes of an append-only file."""

    size_bytes: int
    digest: str


class EventFile:
    """A file of lines, appended to by one process.

    Lines stay in memory until fsync succeeds. If a write or an fsync fails, the next ``flush``
    writes all of them again at the same offset: after a failed fsync the system may have discarded
    the data, and it reports that only once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not O_APPEND: failed lines are rewritten at the same offset.
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        _drop_torn_line(self._descriptor)
        self._is_named = False
        self._synced = os.fstat(self._descriptor).st_size
        self._of_synced = xxhash.xxh3_128()
        for chunk in _chunks(self._descriptor, self._synced):
            self._of_synced.update(chunk)
        self._unsynced = bytearray()
        self._written = 0  # bytes of the unsynced lines

    def add(self, line: str) -> None:
        """Add a line, without its newline, for the next ``flush``."""
        self._unsynced += line.encode() + b"\n"

    def flush(self, *, sync: bool) -> None:
        """Write the lines that were added; with ``sync`` they are on disk on return.

        Raises:
            OSError: the disk is full or fails; the lines stay in memory for the next call.
        """
        try:
            while self._written < len(self._unsynced):
                rest = memoryview(self._unsynced)[self._written :]
                with rest:
                    self._written += os.pwrite(self._descriptor, rest, self._synced + self._written)
            if sync or len(self._unsynced) > _MOST_UNSYNCED_BYTES:
                self._sync()
        except OSError as error:
            error.filename = error.filename or str(self.path)
            raise

    @property
    def descriptor(self) -> int:
        """Descriptor of the file being written, even if its name now belongs to another file."""
        return self._descriptor

    def seal(self) -> Prefix:
        """The prefix of the file that is known to be on disk."""
        return Prefix(self._synced, self._of_synced.hexdigest())

    def begins_with(self, prefix: Prefix) -> bool:
        """Whether the file still begins with this prefix."""
        return begins_with(self._descriptor, prefix)

    def close(self) -> None:
        """Close the file; lines flushed with ``sync`` are safe."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError:
            self._written = 0
            raise
        if not self._is_named:
            sync_folder(self.path.parent)
            self._is_named = True
        self._synced += len(self._unsynced)
        self._of_synced.update(self._unsynced)
        self._unsynced.clear()
        self._written = 0


def begins_with(descriptor: int, prefix: Prefix) -> bool:
    """Whether an opened file begins with this prefix."""
    found, digest = 0, xxhash.xxh3_128()
    for chunk in _chunks(descriptor, prefix.size_bytes):
        found += len(chunk)
        digest.update(chunk)
    return found == prefix.size_bytes and digest.hexdigest() == prefix.digest


def _chunks(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    """The first ``size_bytes`` bytes of a file, or all if it is shorter."""
    start = 0
    while chunk := os.pread(descriptor, min(_CHUNK_BYTES, size_bytes - start), start):
        yield chunk
        start += len(chunk)


def _drop_torn_line(descriptor: int) -> None:
    """Truncate a last line without a newline: its event was never acknowledged."""
    with os.fdopen(descriptor, "r+b", closefd=False) as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0 or start == 0:
                stream.truncate(start + newline + 1)
                return
            end = start
