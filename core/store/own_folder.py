"""Folders with predictable names in places where anybody can create them.

A cache folder may be in ``/tmp`` or on a scratch disk. Somebody else may have created it
beforehand, with links that redirect our writes to our own files, or with bytes that we would take
for our images.
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
    """A folder that another user may have planted, and that user's id."""

    folder: Path
    user: int

    def __str__(self) -> str:
        return f"belongs to another user (number {self.user})"


def planted(folder: Path) -> Others | None:
    """What another user may have planted: the folder itself, or one of its parents.

    That is a folder in a world-writable place. Among the parents a link counts as well; a folder
    shared with one of our groups doesn't. Root isn't checked, since it can do anything.

    Raises:
        OSError: its status can't be read.
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
    """Refuse a cache folder that is a link, or that another user may have planted.

    In a cache shared by a group, the members' folders are accepted. Another user's cache is
    refused, except for root: a container's volumes may belong to anybody.

    Raises:
        DataError: it is such a folder, or inside one.
        OSError: its status can't be read.
    """
    status = _status(folder)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        found = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
        raise DataError(
            f"is {found}, but the cache needs a real folder there",
            where=folder,
            why="What is written there could overwrite something outside the cache",
            remedy=_REMEDY,
        )
    others = planted(folder)
    if others is not None:
        raise DataError(
            f"{others}, in a world-writable place",
            where=others.folder,
            why="Its content could be anybody's",
            remedy=_REMEDY,
        )
    cache = folder.parent
    status = cache.stat() if cache.exists() else None
    if status is None or os.geteuid() == 0 or status.st_uid in {0, os.geteuid()}:
        return
    # In a world-writable place each folder was checked separately.
    if not status.st_mode & stat.S_IWOTH and not _is_of_our_group(status):
        raise DataError(
            f"{Others(cache, status.st_uid)}, and to none of your groups",
            where=cache,
            why="That user could have written any images and checksums",
            remedy="Name your own folder with --cache DIR, or share one within a group",
        )


def _status(path: Path) -> os.stat_result | None:
    """Status of the path itself, without following links; None if it doesn't exist."""
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
    """Open the folder; files opened relative to its descriptor are in the folder that was checked.

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
    """Open or create our file in an opened folder: never a link or a file with two names.

    Raises:
        DataError: the name is a link, a folder, a pipe or a device, or a hard link to another file.
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
    raise _refused(name, folder, "a hard link to another file" if is_file else "not a file")


def _refused(name: str, folder: int, found: str) -> DataError:
    return DataError(
        f"is {found}, but the cache needs a file of its own there",
        where=Path(f"/proc/self/fd/{folder}").readlink() / name,
        why="What is written there could overwrite something outside the cache",
        remedy=_REMEDY,
    )


def drop_unfinished(
    folder: int, names: Collection[str], *, older_than_seconds: float = 0.0
) -> None:
    """Remove the temporary files that killed writers of these files left, and nothing else.

    Without an age the caller must hold the lock of the opened folder, so that nobody writes.
    """
    youngest = time.time() - older_than_seconds
    for entry in os.listdir(folder):
        written = _UNFINISHED.fullmatch(entry)
        if written and written[1] in names:
            with contextlib.suppress(OSError):
                if os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mtime <= youngest:
                    os.unlink(entry, dir_fd=folder)
