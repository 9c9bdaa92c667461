"""The terminal's title and bell, where it has them."""

from __future__ import annotations

import contextlib
import os
from typing import Self, TextIO

from cxr_tui.terminal.safe_text import shortened, visible

_WITHOUT = ("", "dumb", "linux", "unknown")
_KEEP, _PUT_BACK = "\x1b[22;2t", "\x1b[23;2t"
_BELL = "\a"
_MOST_CELLS = 100


def title_sequence(text: str) -> str:
    """What sets the title; '' where there is none."""
    if os.environ.get("TERM", "") in _WITHOUT:
        return ""
    return f"\x1b]2;{shortened(visible(text).replace(chr(10), ' '), _MOST_CELLS)}{_BELL}"


class Title:
    """The title of a terminal for the duration of a block; then the one before is back.

    Nothing is written where the stream is no terminal, or one without a title.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        self._write(_KEEP)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._write(_PUT_BACK)

    def say(self, text: str, *, rings: bool = False) -> None:
        """Set the title; ``rings`` the bell too."""
        self._write(title_sequence(text) + (_BELL if rings else ""))

    def _write(self, sequence: str) -> None:
        if self._stream is None or os.environ.get("TERM", "") in _WITHOUT:
            return
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone
            if self._stream.isatty():
                self._stream.write(sequence)
                self._stream.flush()
