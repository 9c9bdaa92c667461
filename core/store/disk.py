"""Disks that are full or fail: which errors may pass, and how they are told."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from core.errors import NoRoomError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# A cable, a server or a mount that comes back; the run still has its state in memory.
_FAILS_FOR_NOW = frozenset({errno.EIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT})


def passing_trouble(error: BaseException | None) -> OSError | None:
    """The disk's own error behind this one, where making room or waiting may mend it."""
    while error is not None:
        if isinstance(error, OSError):
            return error if error.errno in _NO_ROOM | _FAILS_FOR_NOW else None
        error = error.__cause__
    return None


def trouble_in_words(error: OSError, path: Path) -> str:
    """Which disk it is and what it says; ``path`` where the error names no file."""
    where = error.filename or path
    said = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return f"no room on the disk of {where} ({said})"
    return f"the disk of {where} fails ({said})"


def require_free_bytes(path: Path, needed_bytes: int, what: str, option: str) -> None:
    """Refuse before the start what the disk of ``path`` can't hold.

    Args:
        path: an existing folder.
        needed_bytes: all that will be written.
        what: for the message, such as "the cache".
        option: of the command line, by which another folder is named.

    Raises:
        NoRoomError: with what is needed, what is free, and where else it could go.
    """
    free_bytes = shutil.disk_usage(path).free
    if free_bytes < needed_bytes:
        raise NoRoomError(
            f"{what} needs {size_in_words(needed_bytes)}, and the disk has "
            f"{size_in_words(free_bytes)} free",
            where=path,
            remedy=f"Name a folder on a larger disk with {option} DIR, or make room there",
        )


def size_in_words(num_bytes: int) -> str:
    """In MiB or GiB."""
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.1f} MiB"
