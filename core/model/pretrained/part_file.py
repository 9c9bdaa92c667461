"""A file that is being fetched: what has come so far, and of which version of the original.

It lies beside its place under a hidden name, is locked against a second fetcher, and outlives
every interruption. A file next to it says which address it came from, and the server's mark of the
version, so that no two versions are joined.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import DataError
from core.regular_file import read_regular
from core.store.files import open_own, sync_folder, write_json

_MOST_NOTE_BYTES = 64 * 1024
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Version:
    """Which version of a file: its address, and what the server said of it; '' if nothing."""

    url: str = ""
    etag: str = ""
    modified: str = ""

    @property
    def mark(self) -> str:
        """What If-Range takes; '' if the server gave no mark that identifies the bytes."""
        is_strong = bool(self.etag) and not self.etag.startswith("W/")
        return self.etag if is_strong else self.modified


class PartFile:
    """A file being fetched; locked while it exists as an object. ``size`` is in bytes."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._note = path.with_name(f"{path.name}.json")
        self.size = os.fstat(descriptor).st_size

    @property
    def version(self) -> Version:
        """Of what has come so far; an empty one if that is unknown."""
        try:
            told = json.loads(read_regular(self._note, _MOST_NOTE_BYTES))
            version = Version(**told)
        except (OSError, ValueError, TypeError, RecursionError):
            return Version()
        return version if all(isinstance(v, str) for v in asdict(version).values()) else Version()

    def begin_anew(self, version: Version | None = None) -> None:
        """Drop what has come; what comes next is of this version.

        Raises:
            OSError: the disk refuses.
        """
        os.ftruncate(self._descriptor, 0)
        self.size = 0
        write_json(self._note, asdict(version or Version()), follow=True)

    def append(self, content: bytes) -> None:
        """Add what has just come.

        Raises:
            OSError: no room, or the disk fails. What was added before stays.
        """
        rest = memoryview(content)
        while rest:
            written = os.pwrite(self._descriptor, rest, self.size)
            self.size += written
            rest = rest[written:]

    def put_at(self, place: Path) -> None:
        """Give the file its name, at once and for good: on disk, then renamed.

        Raises:
            OSError: the disk refuses.
        """
        os.fsync(self._descriptor)
        self.path.replace(place)
        sync_folder(place.parent)
        with contextlib.suppress(OSError):
            self._note.unlink()

    def remove(self) -> None:
        """Leave nothing behind."""
        for path in (self._note, self.path):
            with contextlib.suppress(OSError):
                path.unlink()


def part_path(place: Path) -> Path:
    """Where the file of that place is while it is being fetched."""
    return place.with_name(f".{place.name}.part")


@contextlib.contextmanager
def alone_with_part(place: Path) -> Iterator[PartFile]:
    """The file being fetched for that place, locked against other fetchers.

    Raises:
        DataError: another process fetches it.
        OSError: it can't be created.
    """
    path = part_path(place)
    while True:
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(descriptor, place)
            # The one before us may have renamed it while we opened it: then it is no part any more.
            if _is_still(descriptor, path):
                yield PartFile(path, descriptor)
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, place: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return  # a file system without locks: the digest decides
        raise DataError(
            "another process is fetching it",
            where=place,
            remedy="Wait for that one, or stop it; the next goes on where it broke off",
        ) from error


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
