"""Open other people's files safely: without blocking, and with a limited size.

Opening a pipe blocks until somebody writes to it, and a device may be endless; neither is accepted
as a file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_JSON_BYTES = 16 * 2**20
"""Largest JSON file; parsed, an empty table takes twenty times its two characters."""

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading bytes, without waiting.

    Raises:
        OSError: it can't be opened, or is a folder, pipe, device or socket.
    """
    # Without a writer at a pipe's other end, only this flag keeps open() from blocking.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file, if there are at most ``most_bytes``.

    Raises:
        OSError: see ``open_regular``; or the file is larger.
    """
    with open_regular(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > most_bytes:
            what = f"it has {num_bytes:,} bytes, but at most {most_bytes:,} are read"
            raise OSError(errno.EFBIG, what, str(path))
        return file.read()
