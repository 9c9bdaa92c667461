"""The message that covers a screen if the terminal is too small."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

LEAST = Size(60, 16)
"""The minimum size in columns and rows."""


class TooSmall(Static):
    """Covers the screen and says what size it needs, until the terminal is large enough."""

    DEFAULT_CSS = """
    TooSmall {
        layer: above; dock: top; width: 100%; height: 100%; display: none;
        background: $background; color: $text; content-align: center middle; text-align: center;
    }
    """

    def on_mount(self) -> None:
        """Subscribe to the terminal's size; a hidden widget has no size."""
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _: self._judge())
        self._judge()

    def on_resize(self, _event: events.Resize) -> None:
        """Update when the size changes while shown."""
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
        f"{size.width}×{size.height} is too small:\n{LEAST.width}×{LEAST.height} is needed,\n80×24 "
        "is better.\n\nA run continues.  q quits"
    )
