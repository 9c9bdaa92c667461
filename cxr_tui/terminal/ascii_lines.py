"""``--ascii``: whatever a widget draws, ours or Textual's own, reaches the terminal as ASCII."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from cxr_tui.terminal.safe_text import closest_ascii


class AsciiLines(LineFilter):
    """Each sign becomes the closest ASCII one; every cell stays where it is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """A line in ASCII."""
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [Segment(_in_ascii(text), style, control) for text, style, control in segments]


@lru_cache(maxsize=4096)
def _in_ascii(text: str) -> str:
    if text.isascii():
        return text
    # A sign may take two cells, or none of its own.
    return "".join(closest_ascii(sign).ljust(2)[: cell_len(sign)] for sign in text)
