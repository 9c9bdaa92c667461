"""Full or failing disks: which errors may be temporary, and their messages."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from core.errors import NoRoomError
from core.store.files import is_folder

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# A cable, server or mount may come back; the run still has its state in memory.
_FAILS_FOR_NOW = frozenset({errno.EIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT})


def passing_trouble(error: BaseException | None) -> OSError | None:
    """The disk's error that caused this one, if freeing space or waiting may fix it."""
    while error is not None:
        if isinstance(error, OSError):
            return error if error.errno in _NO_ROOM | _FAILS_FOR_NOW else None
        error = error.__cause__
    return None


def lacks_room(error: BaseException | None) -> bool:
    """Whether space on a disk, or a disk that answers again, may be all that is needed."""
    return isinstance(error, NoRoomError) or passing_trouble(error) is not None


def trouble_in_words(error: OSError, path: Path) -> str:
    """Which disk fails and why; ``path`` is used if the error names no file."""
    where = error.filename or path
    said = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return f"no room on the disk of {where} ({said})"
    return f"the disk of {where} fails ({said})"


def free_bytes(folder: Path) -> int | None:
    """Free space on the disk where the folder is, or where it will be created."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if is_folder(place):
            return shutil.disk_usage(place).free
    return None


def require_free_bytes(path: Path, needed_bytes: int, what: str, option: str) -> None:
    """Refuse to start if the disk of ``path`` has too little free space.

    Args:
        path: an existing folder.
        needed_bytes: total size of what will be written.
        what: what needs the space, for the message, such as "the cache".
        option: the command-line option that names another folder.

    Raises:
        NoRoomError: with the space needed, the space free, and how to choose another folder.
    """
    free = shutil.disk_usage(path).free
    if free < needed_bytes:
        raise NoRoomError(
            f"{what} needs {size_in_words(needed_bytes)}, and the disk has "
            f"{size_in_words(free)} free",
            where=path,
            remedy=f"Name a folder on a larger disk with {option} DIR, or free space there",
        )


def size_in_words(num_bytes: int) -> str:
    """A size in MiB or GiB, whichever is easier to read."""
    mib = num_bytes / 2**20
    if mib >= 1000:
        return f"{mib / 1024:,.1f} GiB"
    return f"{mib:,.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"
