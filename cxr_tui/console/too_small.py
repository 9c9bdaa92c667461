"""What stands over a screen for which the terminal is too small."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

LEAST = Size(60, 16)
"""Columns and rows that every screen can be read at."""


class TooSmall(Static):
    """Covers the screen and says what size it needs; gone as soon as the terminal has it."""

    DEFAULT_CSS = """
    TooSmall {
        layer: above; dock: top; width: 100%; height: 100%; display: none;
        background: $background; color: $text; content-align: center middle; text-align: center;
    }
    """

    def on_mount(self) -> None:
        """Follow the terminal's size; the widget has none of its own while it is hidden."""
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _: self._judge())
        self._judge()

    def on_resize(self, _event: events.Resize) -> None:
        """It has grown or shrunk while it is shown."""
        self._judge()

    def _judge(self) -> None:
        size = self.app.size
        is_small = size.width < LEAST.width or size.height < LEAST.height
        if is_small:
            self.update(Content(_words(size)))
        if self.display != is_small:
            self.display = is_small


def _words(size: Size) -> str:
    return (
        f"{size.width}×{size.height} is too small:\n"
        f"{LEAST.width}×{LEAST.height} is needed,\n"
        "80×24 is better.\n\n"
        "A run goes on.  q quits"
    )
