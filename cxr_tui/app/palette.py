"""What the palette offers: the screens, the run, the themes, every session by its name."""

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
"""So many sessions are offered before anything is typed."""


def console_commands(app: Console) -> Iterator[SystemCommand]:
    """What can be done wherever one is; what makes no sense at the moment is left out."""
    for mode, title in SCREENS:
        yield SystemCommand(
            f"Go to {title}", f"Show the screen {title}", lambda mode=mode: app.action_mode(mode)
        )
    if app.workspace.running is None:
        yield SystemCommand("Run: start", "Train by the recipe at hand", app.action_start)
    shown = app.workspace.shown
    if shown is not None and shown.view.state in ("running", "paused"):
        what = "pause" if shown.view.state == "running" else "go on"
        name = visible(shown.name)
        yield SystemCommand(f"Run: {what}", name, app.action_pause)
        yield SystemCommand("Run: checkpoint", f"{name}, kept now", app.action_checkpoint)
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
    yield SystemCommand(
        "Keys of this screen", "What each key does here", partial(app.run_action, "keys")
    )
    yield SystemCommand("Quit", "Asks first while a run is on", partial(app.run_action, "leave"))


class SessionCommands(Provider):
    """Each session of the folder, to be shown on the screen Training."""

    async def startup(self) -> None:
        """Read the folder once, off the painting thread.

        Each key cancels the search before it, and with it whatever that search waits for: what is
        read must not be among it.
        """
        read = asyncio.to_thread(_session_names, self._console.workspace.sessions)
        self._reading = asyncio.create_task(read)

    async def discover(self) -> Hits:
        """The newest few."""
        for name in (await asyncio.shield(self._reading))[:_NEWEST]:
            title = _title(name)
            yield DiscoveryHit(Content(title), lambda name=name: self._show(name), text=title)

    async def search(self, query: str) -> Hits:
        """Those whose names match."""
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
