"""Folders with names that anybody can foretell, in places where anybody can make them.

A cache's folder may lie in ``/tmp`` or on a scratch disk. There, somebody else can have made it
beforehand: with links in it, through which our writing would reach our own files, or with bytes
that we would take for our images.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DataError
from core.store.files import TOKEN

_UNFINISHED = re.compile(rf"\.(.+)\.{TOKEN}")
_REMEDY = "Move it away, or name another folder with --cache DIR"


def require_own(folder: Path) -> None:
    """Refuse a folder that is a link, or somebody else's in a place that is open to everybody.

    Where a group shares a cache, its members' folders are as good as ours. The owner of the place
    itself could do as they like in it anyway. A folder that isn't there is refused by nobody.

    Raises:
        DataError: it is such a folder.
        OSError: it can't be looked at.
    """
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        found = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
        raise DataError(
            f"is {found}, where the cache has a folder of its own",
            where=folder,
            why="What is written there could overwrite something outside the cache",
            remedy=_REMEDY,
        )
    place = folder.parent.stat()
    if place.st_mode & stat.S_IWOTH and status.st_uid not in {os.geteuid(), place.st_uid}:
        raise DataError(
            f"belongs to another user (number {status.st_uid}), in a place that everybody may "
            "write to",
            where=folder,
            why="Whatever stands in it could be anybody's",
            remedy=_REMEDY,
        )


@contextmanager
def opened_own(folder: Path) -> Iterator[int]:
    """The folder's descriptor; what is opened by it stays in the folder that was looked at.

    Raises:
        DataError: see ``require_own``.
        OSError: it can't be opened.
    """
    require_own(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_own_file(folder: int, name: str, flags: int) -> int:
    """Open or make a file of ours in an opened folder: never a link, nor a file with two names.

    Raises:
        DataError: the name is a link, a folder, a pipe or a device, or a second name of a file.
        OSError: it can't be opened.
    """
    try:
        opened = os.open(
            name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=folder
        )
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(name, folder, "a link") from None
        raise
    status = os.fstat(opened)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return opened
    os.close(opened)
    is_file = stat.S_ISREG(status.st_mode)
    raise _refused(name, folder, "a second name of another file" if is_file else "no file")


def _refused(name: str, folder: int, found: str) -> DataError:
    return DataError(
        f"is {found}, where the cache has a file of its own",
        where=Path(f"/proc/self/fd/{folder}").readlink() / name,
        why="What is written there could overwrite something outside the cache",
        remedy=_REMEDY,
    )


def drop_unfinished(
    folder: int, names: Collection[str], *, older_than_seconds: float = 0.0
) -> None:
    """Remove what killed writers of these files left: their temporary ones, and nothing else.

    Without an age it is for who holds the lock of the opened folder, so that nobody writes now.
    """
    youngest = time.time() - older_than_seconds
    for entry in os.listdir(folder):
        written = _UNFINISHED.fullmatch(entry)
        if written and written[1] in names:
            with contextlib.suppress(OSError):
                if os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mtime <= youngest:
                    os.unlink(entry, dir_fd=folder)
