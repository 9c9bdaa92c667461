"""A program inside tmux, as over SSH: its keys, its screen, its end. Needs tmux."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Tmux:
    """A tmux server of its own with one pane; the same verbs as ``terminal.Terminal``."""

    def __init__(self, argv: Sequence[str], *, folder: Path, columns: int = 80, rows: int = 24):
        self._socket, self._folder = str(folder / "tmux.sock"), folder
        program = shlex.join(argv)
        # The terminal's modes before and after, and the exit code, are written by the shell.
        # cat keeps the pane: a dead one has no modes to be asked for.
        script = f"stty -g > before; {program}; echo $? > code; stty -g > after; echo ended; cat"
        size = ["-x", str(columns), "-y", str(rows)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), script)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p")

    def send(self, keys: str) -> None:
        """Press keys, given as what they write."""
        self._tmux("send-keys", "-l", keys)

    def shows(self, words: str, seconds: float = 60) -> None:
        """Wait until the words stand on the screen."""
        self.until(lambda text: words in text, seconds, repr(words))

    def until(self, predicate: Callable[[str], bool], seconds: float, what: str) -> None:
        """Wait until the screen is as wanted."""
        end = time.monotonic() + seconds
        while not predicate(text := self.text):
            assert time.monotonic() < end, f"{what} not shown within {seconds} s:\n{text}"

    def exit_code(self, seconds: float = 60) -> int:
        """Wait for the program's end."""
        self.until(lambda text: "ended" in text.split("\n"), seconds, "the end")
        return int((self._folder / "code").read_text())

    def is_restored(self) -> bool:
        """Whether the terminal is as it was: line modes, screen, cursor, mouse."""
        before, after = ((self._folder / name).read_text() for name in ("before", "after"))
        modes = self._asked("alternate_on", "cursor_flag", "mouse_any_flag")
        return before == after and modes == "0 1 0"

    def _asked(self, *formats: str) -> str:
        asked = " ".join(f"#{{{name}}}" for name in formats)
        return self._tmux("display-message", "-p", asked).strip()

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")
