"""What every screen of the console has: the line on top, the keys at the bottom, the workspace."""

from __future__ import annotations

from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from cxr_tui.console.console import Console
from cxr_tui.console.foot_line import FootLine
from cxr_tui.console.too_small import TooSmall
from cxr_tui.console.top_line import TopLine
from cxr_tui.console.workspace import Workspace


class ConsoleScreen(Screen[None]):
    """A mode of the console. ``refresh_view`` is called when there is something new to show."""

    MODE: ClassVar[str] = ""

    console = getters.app(Console)
    _standing: tuple[str, bool] | None = None
    """Of the session shown: its state, and whether it can be asked for something."""

    @property
    def workspace(self) -> Workspace:
        """What the console works on."""
        return self.console.workspace

    def compose(self) -> ComposeResult:
        """The line on top, the screen's own parts, the keys."""
        yield TopLine(self.MODE)
        yield from self.compose_parts()
        yield FootLine()
        yield TooSmall()

    def compose_parts(self) -> ComposeResult:
        """The screen's own parts."""
        yield Widget()

    def on_mount(self) -> None:
        """Hear of news from now on."""
        self.console.news.subscribe(self, self._on_news)

    def _on_news(self, _: None) -> None:
        if self.is_current:
            self.refresh_view()
            self.show_running()

    def on_screen_resume(self) -> None:
        """What changed while another screen was shown."""
        self.refresh_view()
        self.show_running()

    def show_running(self) -> None:
        """Name the running session on top; the keys that a run answers change with its state."""
        running, shown = self.workspace.running, self.workspace.shown
        name, state = (running.name, running.view.state) if running else ("", "")
        # A query, since the app's timer may come while a screen is being put up or taken down.
        for line in self.query(TopLine):
            line.show_running(name, state)
        standing = (shown.view.state, shown.is_on) if shown else None
        if standing != self._standing:
            self._standing = standing
            self.refresh_bindings()

    def refresh_view(self) -> None:
        """Show what is new."""
