"""The top line: the screens, and the session that runs or waits."""

from __future__ import annotations

from rich.text import Text
from textual import events, getters
from textual.widgets import Static

from cxr_tui.console.console import Console
from cxr_tui.runs.state_marks import MARKS
from cxr_tui.terminal.safe_text import name_shortened, visible

SCREENS = (
    ("sessions", "Sessions"),
    ("data", "Data"),
    ("recipe", "Recipe"),
    ("training", "Training"),
    ("results", "Results"),
    ("cams", "CAMs"),
)
"""Modes and titles, in the order of their digits."""


class TopLine(Static):
    """Screens by digit, the current one marked, and the running session at the right."""

    DEFAULT_CSS = """
    TopLine { dock: top; height: 1; background: $panel; color: $text-muted; }
    """

    console = getters.app(Console)

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._running_name = self._state = ""

    def on_mount(self) -> None:
        """Draw for the first time."""
        self._draw()

    def on_resize(self) -> None:
        """Redraw: the running session is at the right edge."""
        self._draw()

    def show_running(self, name: str, state: str) -> None:
        """Show the session that runs or waits, if any."""
        if (name, state) != (self._running_name, self._state):
            self._running_name, self._state = name, state
            self._draw()

    def on_click(self, event: events.Click) -> None:
        """A click on a screen's name shows it."""
        start = 0
        for digit, (mode, title) in enumerate(SCREENS, start=1):
            start += len(f" {digit} {title} ")
            if event.x < start:
                self.console.action_mode(mode)
                return

    def _draw(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        for digit, (mode, title) in enumerate(SCREENS, start=1):
            style = "bold reverse" if mode == self._mode else ""
            text.append(f" {digit} {title} ", style=style)
        if self._running_name:
            state = f"{MARKS[self._state]} {self._state} "
            room = self.size.width - text.cell_len - len(state) - 1
            name = name_shortened(visible(self._running_name), room) if room > 1 else ""
            said = f"{state}{name} "
            text.append(" " * max(0, self.size.width - text.cell_len - len(said)))
            text.append(said, style="bold")
        self.update(text)
