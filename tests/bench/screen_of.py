"""A program in a pseudo-terminal whose output is searched, not drawn: cheap enough to time by."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path


class ScreenOf:
    """The program; ``seen`` is what it wrote since the last key or ``forget``."""

    def __init__(
        self, argv: Sequence[str], *, columns: int = 80, rows: int = 24, folder: Path
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = bytearray()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            # Modules are compiled once, as those of an installed package are.
            env=os.environ
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONDONTWRITEBYTECODE": ""},
        )
        os.close(slave)

    def press(self, key: str) -> float:
        """Press a key; when that was."""
        self.seen.clear()
        pressed = time.monotonic()
        os.write(self._master, key.encode())
        return pressed

    def until(self, words: str, seconds: float = 120) -> float:
        """Wait until the words were written; when the frame they are in was read."""
        wanted, end = words.encode(), time.monotonic() + seconds
        while wanted not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise TimeoutError(f"{words!r} not shown: {bytes(self.seen[-600:])!r}")
        while self.read(0.001):  # the rest of the frame
            pass
        return time.monotonic()

    def read(self, seconds: float) -> bool:
        """Take what is written within that time; whether anything was."""
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            chunk = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.seen += chunk
        return bool(chunk)

    def rest(self, seconds: float) -> None:
        """Let the program be for that time; its output is taken, as a terminal would."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def end(self) -> None:
        """Ask it to stop, and wait."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        end = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.process.kill()
        self.process.wait()
        os.close(self._master)
