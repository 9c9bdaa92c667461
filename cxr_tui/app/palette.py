"""The command palette: screens, the run, themes, and sessions by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from cxr_tui.console.console import Console
from cxr_tui.console.themes import THEMES
from cxr_tui.console.top_line import SCREENS
from cxr_tui.terminal.safe_text import visible

_NEWEST = 5
"""Number of sessions offered before anything is typed."""


def console_commands(app: Console) -> Iterator[SystemCommand]:
    """The commands available on every screen, without those that don't apply now."""
    for mode, title in SCREENS:
        yield SystemCommand(
            f"Go to {title}", f"Show the screen {title}", lambda mode=mode: app.action_mode(mode)
        )
    if app.workspace.running is None:
        yield SystemCommand("Run: start", "Train with the current recipe", app.action_start)
    shown = app.workspace.shown
    if shown is not None and shown.view.state in ("running", "paused"):
        what = "pause" if shown.view.state == "running" else "continue"
        name = visible(shown.name)
        yield SystemCommand(f"Run: {what}", name, app.action_pause)
        yield SystemCommand("Run: checkpoint", f"of {name}, now", app.action_checkpoint)
        yield SystemCommand("Run: try learning rates", f"a copy of {name}", app.action_try_rates)
        yield SystemCommand("Run: stop", f"{name}, with a checkpoint", app.action_stop)
    for theme in THEMES:
        if theme.name != app.theme:
            help_text = "Dark colours" if theme.dark else "Light colours"
            yield SystemCommand(
                f"Theme {theme.name}",
                help_text,
                lambda name=theme.name: setattr(app, "theme", name),
            )
    yield SystemCommand("Messages", "What was said so far", app.action_messages)
    yield SystemCommand(
        "Keys of this screen", "What each key does on this screen", partial(app.run_action, "keys")
    )
    yield SystemCommand("Quit", "Asks first if a run is active", partial(app.run_action, "leave"))


class SessionCommands(Provider):
    """Sessions of the folder, to show on the Training screen."""

    async def startup(self) -> None:
        """Read the folder once, off the UI thread.

        Each key cancels the previous search and everything it awaits, so reading must be separate.
        """
        read = asyncio.to_thread(_session_names, self._console.workspace.sessions)
        self._reading = asyncio.create_task(read)

    async def discover(self) -> Hits:
        """Offer the newest few sessions."""
        for name in (await asyncio.shield(self._reading))[:_NEWEST]:
            title = _title(name)
            yield DiscoveryHit(Content(title), lambda name=name: self._show(name), text=title)

    async def search(self, query: str) -> Hits:
        """Offer the sessions whose names match."""
        matcher = self.matcher(query)
        for name in await asyncio.shield(self._reading):
            title = _title(name)
            if (score := matcher.match(title)) > 0:
                yield Hit(
                    score, matcher.highlight(title), lambda name=name: self._show(name), text=title
                )

    @property
    def _console(self) -> Console:
        return cast("Console", self.app)

    def _show(self, name: str) -> None:
        self._console.open_session(name, "training")


def _title(name: str) -> str:
    return f"Show session {visible(name)}"


def _session_names(sessions: Path) -> list[str]:
    from core.store.sessions import list_sessions

    return [session.name for session in list_sessions(sessions)]
