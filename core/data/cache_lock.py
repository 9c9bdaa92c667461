"""One writer at a time: the lock of a cache, let go by the kernel when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HELD_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}
# File systems without locks. Two writers are then possible: they write the same bytes to the
# same places, and a writer whose files were replaced at the start notices before it marks any.
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class WriterLock:
    """An open lock file; made by :func:`opened_lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def try_take(self) -> bool:
        """Take the lock if nobody has it, and leave word of who has.

        Raises:
            OSError: the file system fails.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            if error.errno not in _NO_LOCKS_HERE:
                raise
        word = f"process {os.getpid()} on {socket.gethostname()}\n".encode()
        # Only a courtesy to those who wait, so a full disk is no reason to fail here.
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, word, 0)
        except OSError:
            pass
        return True

    def holder(self) -> str:
        """Who has it, as far as is known."""
        try:
            word = os.pread(self._descriptor, 200, 0)
        except OSError:
            word = b""
        return word.decode("utf-8", "replace").strip() or "another process"


@contextmanager
def opened_lock(path: Path) -> Iterator[WriterLock]:
    """The lock file, opened; what was taken is let go at the end.

    Raises:
        OSError: the folder can't be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield WriterLock(descriptor)
    finally:
        os.close(descriptor)
