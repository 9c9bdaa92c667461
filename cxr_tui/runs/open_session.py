"""A session open in the console: its recipe, its state, and the source of its events."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from core.errors import CxrError
from core.events import Event
from core.recipe import Recipe
from core.requests import Request
from core.store.session import Session
from cxr_tui.runs.follower import Follower
from cxr_tui.runs.past import Past
from cxr_tui.runs.run_view import RunView
from cxr_tui.runs.runner import AtEnd, Runner

_Made = TypeVar("_Made")
_STARTING = "running", "starting"


class Source(Protocol):
    """Where a session's events come from: a run on one of our threads, or its files.

    Attributes:
        past: what its file already holds; to be taken before ``take_events``.
        runs_here: whether this process was to run it.
        error: why our run failed, in words; ``failure`` is the error itself.
        is_taken_away: whether our run's start was refused, so that its directory is gone.
        is_handed_over: whether another process goes on with our run once it is stopped.
    """

    past: Past
    runs_here: bool
    error: str | None
    failure: CxrError | None
    is_taken_away: bool
    is_handed_over: bool

    @property
    def is_running(self) -> bool:
        """Whether this process writes the session now."""

    @property
    def asked_for(self) -> Request:
        """The last request to our run."""

    def start(self) -> None:
        """Start the thread that delivers events."""

    def take_events(self) -> list[Event]:
        """New events since the last call, after the past, in order."""

    def ask(self, request: Request) -> None:
        """Ask our thread, or, by a file, the process that writes the session."""

    def between_steps(self, work: Callable[[], _Made]) -> _Made:
        """Do a short piece of work on our run's thread, or here if there is none."""

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait for our run to end, if there is one; returns whether it has."""

    def close(self) -> None:
        """Stop reading; our run continues."""


@dataclass
class OpenSession:
    """A session and its known state."""

    session: Session
    recipe: Recipe
    source: Source
    view: RunView = field(default_factory=RunView)
    is_dead: bool = False
    """Whether its files show that no process writes it, whatever its events say."""

    @property
    def is_on(self) -> bool:
        """Whether it runs or is paused, and so can take requests."""
        return self.view.state in ("running", "paused") and not self.is_dead

    @property
    def name(self) -> str:
        """The session's name."""
        return self.session.name

    @property
    def is_ours(self) -> bool:
        """Whether this process writes it."""
        return self.source.is_running

    @property
    def is_abandoned(self) -> bool:
        """Whether our run was asked to exit without a checkpoint."""
        return self.source.asked_for is Request.ABANDON

    def take_events(self) -> bool:
        """Apply new events; returns whether there were any."""
        past = self.source.past
        is_reading = past.is_reading  # read first: later events come after the past
        is_new = self._apply(past.take())
        if is_new and self.source.runs_here:  # how an earlier run ended doesn't matter here
            self.view.state, self.view.stage, self.view.message = *_STARTING, ""
        return is_new if is_reading else self._apply(self.source.take_events()) or is_new

    def _apply(self, taken: list[Event]) -> bool:
        for event in taken:
            self.view.apply(event)
        return bool(taken)


def running(
    session: Session,
    *,
    device: str,
    cache: Path,
    made: os.stat_result | None = None,
    changed: Recipe | None = None,
    at_end: AtEnd | None = None,
) -> OpenSession:
    """The session with a thread that runs it, not started; it first reads what earlier runs did.

    ``made`` is the directory of a new session; if its start is refused, it is deleted. ``changed``
    replaces its recipe, and differs only in settings that are safe to change. ``at_end``: see
    ``Runner``.
    """
    recipe = changed or session.recipe
    runner = Runner(session, device=device, cache=cache, made=made, changed=changed, at_end=at_end)
    opened = OpenSession(session, recipe, runner)
    opened.view.epochs = recipe.train.epochs
    opened.view.state, opened.view.stage = _STARTING
    return opened


def followed(session: Session) -> OpenSession:
    """The session from its files, past or written elsewhere; not started."""
    opened = OpenSession(session, session.recipe, Follower(session))
    opened.view.epochs = opened.recipe.train.epochs
    return opened
