"""The line on top: which screen, and which session runs when another one is shown."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from cxr_tui.terminal.safe_text import visible

SCREENS = (
    ("sessions", "Sessions"),
    ("data", "Data"),
    ("recipe", "Recipe"),
    ("training", "Training"),
    ("results", "Results"),
    ("cams", "CAMs"),
)
"""Mode and title, in the order of their digits."""


class TopLine(Static):
    """Screens by digit, the one at hand marked, and the running session at the right."""

    DEFAULT_CSS = """
    TopLine { dock: top; height: 1; background: $panel; color: $text-muted; }
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._running_name = ""

    def on_mount(self) -> None:
        """Draw once."""
        self._draw()

    def on_resize(self) -> None:
        """The running session stands at the right edge."""
        self._draw()

    def show_running(self, name: str) -> None:
        """Name the session that runs; nothing where none does."""
        if name != self._running_name:
            self._running_name = name
            self._draw()

    def _draw(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        for digit, (mode, title) in enumerate(SCREENS, start=1):
            style = "bold reverse" if mode == self._mode else ""
            text.append(f" {digit} {title} ", style=style)
        if self._running_name:
            name = f"● running {visible(self._running_name)} "
            room = self.size.width - text.cell_len
            if room < len(name):
                name = name[: max(0, room - 1)] + "…" if room > 12 else ""
            text.append(" " * max(0, self.size.width - text.cell_len - len(name)))
            text.append(name, style="bold")
        self.update(text)
