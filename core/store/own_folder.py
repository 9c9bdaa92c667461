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
from typing import NamedTuple

from core.errors import DataError
from core.store.files import TOKEN

_UNFINISHED = re.compile(rf"\.(.+)\.{TOKEN}")
_REMEDY = "Move it away, or name another folder with --cache DIR"


class Others(NamedTuple):
    """A folder that another user may have put where we look, and the number of that user."""

    folder: Path
    user: int

    def __str__(self) -> str:
        return f"belongs to another user (number {self.user})"


def planted(folder: Path) -> Others | None:
    """What another user may have put there: the folder itself, or one on the way to it.

    That is one in a place that everybody may write to. On the way a link counts as well, and a
    folder that a group of ours shares doesn't; root could do as it likes anyway.

    Raises:
        OSError: it can't be looked at.
    """
    real = folder.parent.resolve() / folder.name
    for there in dict.fromkeys([real, *real.parents, *folder.absolute().parents]):
        status = _status(there)
        if status is None or status.st_uid in {0, os.geteuid()}:
            continue
        if not there.parent.stat().st_mode & stat.S_IWOTH:
            continue
        if there == real or not (_is_of_our_group(status) and _is_open_to_its_group(status)):
            return Others(there, status.st_uid)
    return None


def require_own(folder: Path) -> None:
    """Refuse a cache's folder that is a link, or that another user may have put there.

    Where a group shares a cache, its members' folders are as good as ours. A cache of somebody
    else's is refused, but for root: a container's volumes belong to whoever made them.

    Raises:
        DataError: it is such a folder, or in one.
        OSError: it can't be looked at.
    """
    status = _status(folder)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        found = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
        raise DataError(
            f"is {found}, where the cache has a folder of its own",
            where=folder,
            why="What is written there could overwrite something outside the cache",
            remedy=_REMEDY,
        )
    others = planted(folder)
    if others is not None:
        raise DataError(
            f"{others}, in a place that everybody may write to",
            where=others.folder,
            why="Whatever stands in it could be anybody's",
            remedy=_REMEDY,
        )
    cache = folder.parent
    status = cache.stat() if cache.exists() else None
    if status is None or os.geteuid() == 0 or status.st_uid in {0, os.geteuid()}:
        return
    # Of a place open to everybody each folder was looked at by itself.
    if not status.st_mode & stat.S_IWOTH and not _is_of_our_group(status):
        raise DataError(
            f"{Others(cache, status.st_uid)}, and to no group of ours",
            where=cache,
            why="Its images and their checksums are whatever that user wrote",
            remedy="Name a folder of your own with --cache DIR, or share one in a group",
        )


def _status(path: Path) -> os.stat_result | None:
    """Of the path itself, links not followed; None where nothing is there."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_of_our_group(status: os.stat_result) -> bool:
    return status.st_gid in {os.getegid(), *os.getgroups()} and not status.st_mode & stat.S_IWOTH


def _is_open_to_its_group(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWGRP)


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
