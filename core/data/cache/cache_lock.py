"""The writer lock of a cache, which the kernel releases when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from core.store.own_folder import open_own_file

_HELD_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}
# File systems without locks. Two writers are then possible: readers notice overwritten slots by
# their checksums, and a writer whose files were replaced notices before it records any.
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class WriterLock:
    """An open lock file, from :func:`opened_lock`.

    ``is_kept_by_the_kernel``: whether the lock, once taken, excludes other writers.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_kept_by_the_kernel = False

    def try_take(self) -> bool:
        """Take the lock if it is free, and record its holder in the file.

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
        else:
            self.is_kept_by_the_kernel = True
        word = f"process {os.getpid()} on {socket.gethostname()}\n".encode()
        # Only for those who wait, so a full disk must not fail here.
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, word, 0)
        except OSError:
            pass
        return True

    def holder(self) -> str:
        """The holder, if known."""
        try:
            word = os.pread(self._descriptor, 200, 0)
        except OSError:
            word = b""
        return word.decode("utf-8", "replace").strip() or "another process"


@contextmanager
def opened_lock(folder: int, name: str) -> Iterator[WriterLock]:
    """Open the lock file in an opened folder; a taken lock is released at the end.

    Raises:
        DataError: it is a link, through which another file would be overwritten.
        OSError: the folder can't be written.
    """
    descriptor = open_own_file(folder, name, os.O_RDWR | os.O_CREAT)
    try:
        yield WriterLock(descriptor)
    finally:
        os.close(descriptor)
