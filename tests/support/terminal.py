"""A program in a real pseudo-terminal, read by a terminal emulator.

Nothing sleeps: every wait is for something to stand on the screen, with a deadline.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
import warm_start

# pyte prints the tails of private sequences that it doesn't know (keyboard protocol, mode queries).
_UNKNOWN = re.compile(rb"\x1b\[[<>=]\d*u|\x1b\[\?\d+\$p|\x1b\[>\d*[a-z]")
_MODES_OFF_AFTERWARDS = (1000, 1002, 1003, 1004, 1006, 2004)
_ALTERNATE_SCREEN, _CURSOR = 1049, 25


class _Emulator(pyte.Screen):
    """pyte has no alternate screen: leaving it clears, so that what comes afterwards is read."""

    def reset_mode(self, *modes: int, **settings: bool) -> None:
        super().reset_mode(*modes, **settings)
        if settings.get("private") and _ALTERNATE_SCREEN in modes:
            self.erase_in_display(2)
            self.cursor_position(1, 1)


class Terminal:
    """The program, its keyboard and its screen."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        is_told_of_hang_up: bool = True,
    ) -> None:
        self._emulator = _Emulator(columns, rows)
        self._stream = pyte.ByteStream(self._emulator)
        self._master, self._slave = pty.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
        self._modes_before = termios.tcgetattr(self._slave)
        self._written = bytearray()
        self.process = warm_start.Popen(
            argv,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=folder,
            start_new_session=True,
            # Only a controlling terminal sends SIGHUP when it goes.
            controls_terminal=is_told_of_hang_up,
            env=os.environ
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            # What the console remembers is of this folder's test alone.
            | {"XDG_STATE_HOME": str(folder / "state")}
            | dict(environment or {}),
        )

    @property
    def text(self) -> str:
        """What stands on the screen, without blanks at the ends of lines."""
        return "\n".join(line.rstrip() for line in self._emulator.display)

    @property
    def written(self) -> bytes:
        """Everything it has written."""
        return bytes(self._written)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def shows(self, words: str, seconds: float = 60) -> None:
        """Wait until the words stand on the screen."""
        self.until(lambda text: words in text, seconds, repr(words))

    def shows_one_of(self, pattern: str, seconds: float = 60) -> None:
        """Wait until something that matches stands on the screen."""
        self.until(lambda text: re.search(pattern, text) is not None, seconds, repr(pattern))

    def until(self, predicate: Callable[[str], bool], seconds: float, what: str) -> None:
        """Wait until the screen is as wanted."""
        end = time.monotonic() + seconds
        while not predicate(self.text):
            left = end - time.monotonic()
            assert left > 0, f"{what} not shown within {seconds} s; the screen is:\n{self.text}"
            read = self._read(min(left, 0.25))
            ended = self.process.poll() is not None and not read
            assert not ended or predicate(self.text), f"ended; the screen is:\n{self.text}"

    def exit_code(self, seconds: float = 60) -> int:
        """Wait for the program's end."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"still running; the screen is:\n{self.text}"
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.returncode

    def is_restored(self) -> bool:
        """Whether the terminal is as it was: line modes, screen, cursor, mouse, paste."""
        last = {
            int(mode): state
            for mode, state in re.findall(rb"\x1b\[\?(\d+)([hl])", bytes(self._written))
        }
        return (
            termios.tcgetattr(self._slave) == self._modes_before
            and last.get(_ALTERNATE_SCREEN) == b"l"
            and last.get(_CURSOR) == b"h"
            and all(last.get(mode, b"l") == b"l" for mode in _MODES_OFF_AFTERWARDS)
        )

    def hang_up(self) -> None:
        """The line drops: the terminal is gone, and the program is told by SIGHUP."""
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def close(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._master >= 0:
            self.hang_up()

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:
            return False
        self._written += chunk
        self._stream.feed(_UNKNOWN.sub(b"", chunk))
        return bool(chunk)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
