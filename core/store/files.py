"""Files that are written whole or not at all, and never through a link.

A session or a cache may come from somebody else. Were its ``cams/`` a link to a folder of ours,
what is written there would replace our own files. So a folder is opened first, as what it is,
and files are made, renamed and removed in what was opened: nothing that is put in its place
meanwhile counts. A folder that the user names may be a link; what stands inside it may not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

TOKEN = r"(?=\d*[a-f])[0-9a-f]{8}"
"""The end of a name until its file is whole: never a date, as people end theirs."""

_LONGEST_WAIT_SECONDS, _LOCK_PAUSE_SECONDS = 30.0, 0.01
_NO_FSYNC_OF_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)  # of a link, by the system's mood
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_A_LINK = "it is a link, and what it leads to is not ours to write"


def write_whole(
    path: Path,
    content: bytes | Callable[[BinaryIO], None],
    *,
    follow: bool = False,
    mode: int = 0o666,
) -> None:
    """Put ``content`` at ``path``: a reader sees the old file or the new one, never a part.

    The bytes are on disk (fsync) before they get their name, and the name is on disk when
    this returns. What was there before stays where anything goes wrong (OSError).

    Args:
        path: the file; a link in its place is replaced, not followed.
        content: its bytes, or what writes them.
        follow: whether its folder may be a link: one that the user named may.
        mode: permissions, of which the umask takes its share.
    """
    try:
        with open_folder(path.parent, follow=follow) as folder:
            _write_beside(folder, path.name, content, mode)
            _sync_descriptor(folder)
    except OSError as error:
        if error.errno is not None and error.errno != errno.ELOOP:
            error.filename = str(path)  # a write says no name, and a temporary one helps nobody
        raise


def _write_beside(
    folder: int, name: str, content: bytes | Callable[[BinaryIO], None], mode: int
) -> None:
    temporary = f".{name}.{token()}"
    descriptor = os.open(temporary, _NEW_FILE, mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with contextlib.suppress(OSError):  # held until it has its name: it is no leftover
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
    """What ends a name until its file is whole; see ``TOKEN``."""
    while (drawn := secrets.token_hex(4)).isdigit():
        pass
    return drawn


@contextlib.contextmanager
def open_folder(folder: Path, *, follow: bool = False) -> Iterator[int]:
    """A folder's descriptor, to make and remove files in by ``dir_fd``.

    Raises:
        OSError: it can't be opened; ELOOP where it is a link and ``follow`` isn't set.
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
    """A descriptor of a file that is written in place; it is made where ``flags`` say O_CREAT.

    With an opened ``folder`` the path is one inside it.

    Raises:
        OSError: it can't be opened; ELOOP where it is a link, EINVAL for a pipe or a device.
    """
    # A pipe without a reader would be waited for.
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
    """Hold the lock of a file while it is read and written whole anew; others wait for it.

    It is the file's own (flock), so nothing is left of one whose holder was killed. Who waited
    may hold that of a file which was replaced meanwhile, and takes that of the new one. The file
    is made, empty, where there is none. Where a file system has no such lock nobody waits.

    Raises:
        OSError: it can't be opened, its folder is a link, or another has held it for too long.
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
    except PermissionError:  # another's, in a folder of the group: to lock it, reading will do
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
    """The value as readable JSON, written whole; ``follow`` as for ``write_whole``.

    Bytes of a path that are not UTF-8 stand there as escapes, which read back as they were.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode(errors="backslashreplace"), follow=follow)


def sync_folder(folder: Path) -> None:
    """Wait until the names in the folder are on disk, where the file system can say so.

    Raises:
        OSError: the disk is full or fails.
    """
    with open_folder(folder, follow=True) as descriptor:  # nothing is written there
        _sync_descriptor(descriptor)


def _sync_descriptor(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network file systems refuse to fsync a directory; the file itself is safe.
        if error.errno not in _NO_FSYNC_OF_FOLDERS:
            raise


def is_file(path: Path) -> bool:
    """Whether a file is there that we may see; False, too, below a folder that is closed to us."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where a folder is closed


def is_folder(path: Path) -> bool:
    """Whether a folder is there that we may see."""
    return os.path.isdir(path)  # noqa: PTH112 - likewise
