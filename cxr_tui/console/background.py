"""An invisible part of a screen that works on threads."""

from __future__ import annotations

from textual import getters
from textual.widget import Widget

from cxr_tui.console.console import Console
from cxr_tui.console.workspace import Workspace


class Background(Widget):
    """Runs blocking work on threads, and posts the results as messages.

    The part handles its message first, and stores the result or stops an outdated message; then it
    bubbles to the screen, which updates itself.
    """

    DEFAULT_CSS = "Background { display: none; }"

    console = getters.app(Console)

    @property
    def workspace(self) -> Workspace:
        """The console's workspace; threads may read only what doesn't change."""
        return self.console.workspace
