"""Make a session of this recipe and run it: what queues, searches and studies ask for.

The session's name is fixed beforehand, so asking again after a kill goes on with the same session
instead of making a second one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import CxrError, NoRoomError, SessionError, StoppedError
from core.events import Event
from core.going_on import safe_differences
from core.in_slices import in_slices
from core.recipe import Recipe
from core.requests import NextRequest
from core.store.disk import lacks_room
from core.store.files import is_file
from core.store.past import is_done
from core.store.refused import take_away_refused
from core.store.session import Session
from core.store.sessions import create_session, open_session
from core.training.control import stop_if_asked

STOPPED = 75
"""EX_TEMPFAIL: asked again, it goes on."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: ``finished``, ``stopped`` or ``failed``; ``held`` if another process writes the
            session.
        error: what it failed with, or why it stopped before its first checkpoint.
    """

    state: str
    error: CxrError | None = None

    @property
    def exit_code(self) -> int:
        """As ``--batch`` would give it."""
        if self.state == "finished":
            return 0
        return STOPPED if self.error is None else self.error.exit_code

    @property
    def lacks_room(self) -> bool:
        """Whether space on a disk, or a disk that answers again, may be all that it needs."""
        if isinstance(self.error, StoppedError):
            return False
        return lacks_room(self.error)

    @property
    def has_waited_for_room(self) -> bool:
        """Whether it gave up after waiting for space; others on that disk would wait as long."""
        if not isinstance(self.error, StoppedError):
            return False
        return isinstance(self.error.__cause__, NoRoomError) or lacks_room(self.error)


@dataclass(frozen=True)
class NamedRun:
    """A run by its session's name; calling it runs it, from wherever it is.

    Attributes:
        sessions: their folder.
        name: the session's.
        recipe: of a new session; one that exists goes on with its own, which may differ only in
            settings that are safe to change.
        device, cache: where it computes, as on the command line.
    """

    sessions: Path
    name: str
    recipe: Recipe
    device: str
    cache: Path

    def __call__(
        self,
        emit: Callable[[Event], None],
        next_request: NextRequest,
        made: Callable[[Session], None] = lambda _: None,
    ) -> Outcome:
        """Run it to its end; ``made`` is called once its session exists, before torch is loaded.

        Raises:
            Exception: a defect; the session's log has the traceback.
        """
        new: os.stat_result | None = None
        session = Session(self.sessions / self.name)
        try:
            is_new = not is_file(session.path / "recipe.toml")
            session = self.session()
            new = session.path.lstat() if is_new else None
            made(session)
            if is_done(session) is not None:
                return Outcome("finished")
            in_slices(
                lambda: importlib.import_module("core.run"), lambda: stop_if_asked(next_request)
            )
            from core.run import Machine, run  # torch

            is_finished = run(session, emit, next_request, Machine(self.device, self.cache))
            return Outcome("finished" if is_finished else "stopped")
        except StoppedError as error:
            return Outcome("stopped", error)
        except CxrError as error:
            if isinstance(error, SessionError) and session.is_being_written():
                return Outcome("held", error)
            if new is not None:
                take_away_refused(session, new, error)
            return Outcome("failed", error)

    def session(self) -> Session:
        """Its session, made if it isn't there.

        Raises:
            CxrError: it can't be made, or another recipe's session has the name.
        """
        if not is_file(self.sessions / self.name / "recipe.toml"):
            return create_session(self.sessions, self.recipe, self.name)
        session = open_session(self.name, self.sessions)
        recipe = session.in_its_sense(self.recipe)
        safe_differences(session.recipe, recipe, f"session {session.name}")
        return session
