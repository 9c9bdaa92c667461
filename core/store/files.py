"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_LEFTOVER = re.compile(r"\..+\.[a-z0-9_]{8}")  # what mkstemp makes of a name below
_LEFTOVER_SECONDS = 3600.0
_NO_FSYNC_OF_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})


def write_whole(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Put ``content`` at ``path``: a reader sees the old file or the new one, never a part.

    The bytes are on disk (fsync) before they get their name, and the name is on disk when
    this returns. What was there before stays where anything goes wrong (OSError).
    """
    try:
        _write_beside(path, content)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # a write says no name, and a temporary one helps nobody
        raise


def _write_beside(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if callable(content):
                content(stream)
            else:
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner can read; sessions are shared in a group.
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - the name is a str from mkstemp
        os.replace(temporary, path)  # noqa: PTH105 - likewise
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - likewise
        raise


def drop_leftovers(folder: Path) -> None:
    """Remove what killed writers left of half-written files here and one folder below.

    Only what is old: another process may be in the middle of one now.
    """
    youngest = time.time() - _LEFTOVER_SECONDS
    with contextlib.suppress(OSError):
        for path in (*folder.glob(".*"), *folder.glob("*/.*")):
            with contextlib.suppress(OSError):
                if _LEFTOVER.fullmatch(path.name) and path.stat().st_mtime < youngest:
                    path.unlink()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """The value as readable JSON, written whole."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Wait until the names in the folder are on disk, where the file system can say so.

    Raises:
        OSError: the disk is full or fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to fsync a directory; the file itself is safe.
        if error.errno not in _NO_FSYNC_OF_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_file(path: Path) -> bool:
    """Whether a file is there that we may see; False, too, below a folder that is closed to us."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where a folder is closed


def is_folder(path: Path) -> bool:
    """Whether a folder is there that we may see."""
    return os.path.isdir(path)  # noqa: PTH112 - likewise
