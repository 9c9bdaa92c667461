"""The base of all screens: the top line, the keys at the bottom, the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from cxr_tui.console.console import Console
from cxr_tui.console.foot_line import FootLine
from cxr_tui.console.too_small import TooSmall
from cxr_tui.console.top_line import TopLine
from cxr_tui.console.workspace import Workspace
from cxr_tui.widgets.lists import ListKeys

if TYPE_CHECKING:
    from core.glossary import Term


class ConsoleScreen(Screen[None]):
    """A mode of the console; ``refresh_view`` is called when there is something new."""

    MODE: ClassVar[str] = ""
    NEEDS_SOMETHING: ClassVar[frozenset[str]] = frozenset()
    """Actions that do nothing while there is nothing to show: their keys aren't named then."""

    console = getters.app(Console)
    _standing: tuple[object, ...] = ()
    """What decides which keys do something."""

    @property
    def workspace(self) -> Workspace:
        """The console's state."""
        return self.console.workspace

    def compose(self) -> ComposeResult:
        """The top line, the screen's own parts, the keys."""
        yield TopLine(self.MODE)
        yield from self.compose_parts()
        yield FootLine()
        yield TooSmall()

    def compose_parts(self) -> ComposeResult:
        """The screen's own parts."""
        yield Widget()

    def on_mount(self) -> None:
        """Subscribe to news."""
        self.console.news.subscribe(self, self._on_news)

    def _on_news(self, _: None) -> None:
        if self.is_current:
            self.refresh_view()
            self.show_running()

    def on_list_keys_searched(self, message: ListKeys.Searched) -> None:
        """What is looked for stands where the keys stand."""
        self.query_one(FootLine).show_instead(message.words)

    def on_screen_resume(self) -> None:
        """Show what changed while another screen was on top."""
        self.refresh_view()
        self.show_running()

    def show_running(self) -> None:
        """Show the running session in the top line; a run's keys change with its state."""
        running, shown = self.workspace.running, self.workspace.shown
        name, state = (running.name, running.view.state) if running else ("", "")
        # A query, since the app's timer may fire while a screen is being mounted or removed.
        for line in self.query(TopLine):
            line.show_running(name, state)
        self.follow_keys(*((shown.view.state, shown.is_on) if shown else ("", False)), bool(name))

    def at_hand(self) -> str:
        """What a copy takes: the row at the cursor."""
        listed = self.focused
        if not isinstance(listed, ListKeys):
            return ""
        lines = listed.list_lines()
        return " ".join(lines[listed.list_at()].split()) if lines else ""

    def terms_at_hand(self) -> Sequence[Term]:
        """What help begins with: terms under the mouse, and in what is at the cursor."""
        from cxr_tui.console.term_at_hand import terms_at_hand  # not before the first paint

        return terms_at_hand(self, self.words_at_hand())

    def words_at_hand(self) -> str:
        """The text at the cursor, of which the glossary may explain terms."""
        listed = self.focused
        return listed.words_at_hand() if isinstance(listed, ListKeys) else ""

    def has_something(self) -> bool:
        """Whether there is something to show."""
        return True

    def follow_keys(self, *state: object) -> None:
        """Name other keys where others do something now."""
        standing = (self.has_something(), *(state or self._standing[1:]))
        if standing != self._standing:
            self._standing = standing
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not there."""
        return action not in self.NEEDS_SOMETHING or self.has_something()

    def refresh_view(self) -> None:
        """Show what is new."""
