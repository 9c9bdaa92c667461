"""One writer a session: a lock that the kernel frees when its owner dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import SessionError

_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 4, 0.02


def locked(path: Path) -> Any:
    """The open lock file; closing it frees the lock.

    Raises:
        SessionError: another process holds it; the message says which.
    """
    lock = path.open("a+b")
    try:
        _take_lock(lock)
    except OSError:
        lock.seek(0)
        owner = lock.read(1000).decode(errors="replace").strip()
        lock.close()
        raise SessionError(
            f"another process writes to this session: {owner or 'unknown'}",
            where=path.parent,
            why="Two writers would mix two runs.",
            remedy="Stop that one first, or start under another name.",
        ) from None
    owner = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()})
    lock.truncate(0)
    lock.write(owner.encode())
    lock.flush()
    return lock


def _take_lock(lock: BinaryIO) -> None:
    """Take it, trying again for a moment: a reader that looks whether it is free holds it too."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE_SECONDS)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
