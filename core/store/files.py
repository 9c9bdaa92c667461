"""Write files completely or not at all, and never through a link.

A session or a cache may come from somebody else. If its ``cams/`` were a link to one of the user's
folders, writing there would replace the user's files. So a folder is opened first, without
following links, and files are created, renamed and removed relative to its descriptor: replacing
the folder meanwhile has no effect. A folder that the user names may be a link; the folders inside
it may not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

TOKEN = r"(?=\d*[a-f])[0-9a-f]{8}"
"""Suffix of a temporary file: never a date, which people append to their own names."""

_LONGEST_WAIT_SECONDS, _LOCK_PAUSE_SECONDS = 30.0, 0.01
_NO_FSYNC_OF_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)  # for a link, depending on the system
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_A_LINK = "it is a link, and links are not followed for writing"


def write_whole(
    path: Path,
    content: bytes | Callable[[BinaryIO], None],
    *,
    follow: bool = False,
    mode: int = 0o666,
) -> None:
    """Write ``content`` to ``path`` atomically: a reader sees the old file or the new one.

    The bytes are on disk (fsync) before the rename, and the name is on disk on return. On any error
    (OSError) the old file stays.

    Args:
        path: the file; a link is replaced, not followed.
        content: the bytes, or a callable that writes them.
        follow: whether its folder may be a link, as one that the user named.
        mode: permissions, subject to the umask.
    """
    try:
        with open_folder(path.parent, follow=follow) as folder:
            _write_beside(folder, path.name, content, mode)
            _sync_descriptor(folder)
    except OSError as error:
        if error.errno is not None and error.errno != errno.ELOOP:
            error.filename = str(
                path
            )  # of a write there is none, and a temporary name helps nobody
        raise


def _write_beside(
    folder: int, name: str, content: bytes | Callable[[BinaryIO], None], mode: int
) -> None:
    temporary = f".{name}.{token()}"
    descriptor = os.open(temporary, _NEW_FILE, mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with contextlib.suppress(OSError):  # locked until renamed: not a leftover
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if callable(content):
                content(stream)
            else:
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def token() -> str:
    """A random suffix for a temporary file; see ``TOKEN``."""
    while (drawn := os.urandom(4).hex()).isdigit():
        pass
    return drawn


@contextlib.contextmanager
def open_folder(folder: Path, *, follow: bool = False) -> Iterator[int]:
    """Open a folder; its descriptor serves as ``dir_fd``.

    Raises:
        OSError: it can't be opened; ELOOP if it is a link and ``follow`` isn't set.
    """
    no_link = 0 if follow else os.O_NOFOLLOW
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_link)
    except OSError as error:
        if not follow and error.errno in _NO_FOLDER and folder.is_symlink():
            raise OSError(errno.ELOOP, _A_LINK, str(folder)) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_own(path: Path, flags: int, *, folder: int | None = None) -> int:
    """Open a regular file for writing in place; O_CREAT in ``flags`` creates it.

    ``path`` is relative to ``folder`` if a descriptor is given.

    Raises:
        OSError: it can't be opened; ELOOP for a link, EINVAL for a pipe or a device.
    """
    # Opening a pipe without a reader would block.
    always = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | always, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, _A_LINK, str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


@contextlib.contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Lock a file while it is read and rewritten; other processes wait.

    The lock is a flock on the file itself, so a killed holder leaves nothing behind. A process that
    waited and got the lock of a replaced file locks the new file instead. The file is created empty
    if missing. On a file system without locks nobody waits.

    Raises:
        OSError: it can't be opened, its folder is a link, or another process held the lock too
            long.
    """
    end = time.monotonic() + _LONGEST_WAIT_SECONDS
    with open_folder(path.parent) as folder:
        while True:
            descriptor = _opened_to_lock(path.name, folder)
            try:
                _take(descriptor, path, end)
                if _is_still_there(descriptor, path.name, folder):
                    yield
                    return
            finally:
                os.close(descriptor)


def _opened_to_lock(name: str, folder: int) -> int:
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_RDWR, 0o666, dir_fd=folder)
    except PermissionError:  # another user's, in a shared folder: read access is enough to lock
        return os.open(name, flags | os.O_RDONLY, 0o666, dir_fd=folder)


def _take(descriptor: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # a file system without locks
        else:
            return
        if time.monotonic() > end:
            raise OSError(errno.ETIMEDOUT, "another process keeps it locked", str(path))
        time.sleep(_LOCK_PAUSE_SECONDS)


def _is_still_there(descriptor: int, name: str, folder: int) -> bool:
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def write_json(path: Path, value: Mapping[str, Any], *, follow: bool = False) -> None:
    """Write the value as readable JSON; ``follow`` as for ``write_whole``.

    Bytes of a path that are not UTF-8 are escaped so that they read back unchanged.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode(errors="backslashreplace"), follow=follow)


def sync_folder(folder: Path) -> None:
    """fsync the folder, so that its file names are on disk, if the file system supports that.

    Raises:
        OSError: the disk is full or fails.
    """
    with open_folder(folder, follow=True) as descriptor:  # read only
        _sync_descriptor(descriptor)


def _sync_descriptor(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network file systems refuse to fsync a directory; the file itself is safe.
        if error.errno not in _NO_FSYNC_OF_FOLDERS:
            raise


def is_file(path: Path) -> bool:
    """Whether a file is there; also False if a parent folder is not accessible."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises if a folder is not accessible


def is_folder(path: Path) -> bool:
    """Whether a folder is there; also False if a parent folder is not accessible."""
    return os.path.isdir(path)  # noqa: PTH112 - likewise
