"""A session that the console holds: its recipe, what is known of it, where news come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.events import Event
from core.recipe import Recipe
from core.requests import Request
from core.store.session import Session
from cxr_tui.runs.follower import Follower
from cxr_tui.runs.run_view import RunView
from cxr_tui.runs.runner import Runner

_Made = TypeVar("_Made")
_STARTING = "running", "starting"


@dataclass
class OpenSession:
    """A session with what is known of it; ``source`` is a Runner where it is ours."""

    session: Session
    recipe: Recipe
    source: Runner | Follower
    view: RunView = field(default_factory=RunView)
    is_dead: bool = False
    """Whether its files were seen to say that no process writes it, whatever its events say."""

    @property
    def is_on(self) -> bool:
        """Whether it runs or is paused, and so can be asked for something."""
        return self.view.state in ("running", "paused") and not self.is_dead

    @property
    def name(self) -> str:
        """The session's name."""
        return self.session.name

    @property
    def is_ours(self) -> bool:
        """Whether this process writes it."""
        return isinstance(self.source, Runner) and self.source.is_running

    @property
    def is_abandoned(self) -> bool:
        """Whether our run was asked to leave without a checkpoint."""
        return isinstance(self.source, Runner) and self.source.asked_for is Request.ABANDON

    def stop(self) -> None:
        """Ask for a stop with a checkpoint, wherever it runs."""
        self.ask(Request.STOP)

    def ask(self, request: Request) -> None:
        """Ask our thread, or by a file the process that writes the session."""
        if isinstance(self.source, Runner):
            self.source.ask(request)
        else:
            self.session.ask(request)

    def between_steps(self, work: Callable[[], _Made]) -> _Made:
        """Do a short piece of work on our run's thread; here where there is none."""
        return self.source.between_steps(work) if isinstance(self.source, Runner) else work()

    def wait(self) -> None:
        """Wait for our thread to end; nothing where another process runs it."""
        if isinstance(self.source, Runner):
            self.source.join()

    def begin(self) -> None:
        """Start the thread that brings news."""
        self.source.start()

    def close(self) -> None:
        """Stop reading; a run of ours goes on."""
        if isinstance(self.source, Follower):
            self.source.close()

    @property
    def error(self) -> str | None:
        """Why our run ended badly."""
        return self.source.error if isinstance(self.source, Runner) else None

    @property
    def is_taken_away(self) -> bool:
        """Whether our run's start was refused, so that its folder is gone."""
        return isinstance(self.source, Runner) and self.source.is_taken_away

    def take_events(self) -> bool:
        """Apply what is new; whether there was anything."""
        if isinstance(self.source, Runner):
            return self._take_of_our_run(self.source)
        return self._apply(self.source.take_events())

    def _take_of_our_run(self, runner: Runner) -> bool:
        is_reading = runner.is_reading  # asked first: what comes later comes after the past
        is_new = self._apply(runner.take_past())
        if is_new:  # how an earlier run ended is not how this one stands
            self.view.state, self.view.stage, self.view.message = *_STARTING, ""
        return is_new if is_reading else self._apply(runner.take_events()) or is_new

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
) -> OpenSession:
    """The session with a thread that runs it, not begun; it reads first what earlier runs did.

    ``made`` is its folder where it is new: where its start is refused, it is taken away again.
    ``changed`` takes the place of its recipe, and differs only where that is safe.
    """
    recipe = changed or session.recipe
    runner = Runner(session, device=device, cache=cache, made=made, changed=changed)
    opened = OpenSession(session, recipe, runner)
    opened.view.epochs = recipe.train.epochs
    opened.view.state, opened.view.stage = _STARTING
    return opened


def followed(session: Session) -> OpenSession:
    """The session as its files tell it, past or written elsewhere; not begun."""
    opened = OpenSession(session, session.recipe, Follower(session))
    opened.view.epochs = opened.recipe.train.epochs
    return opened
