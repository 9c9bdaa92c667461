"""A full or temporarily failing disk pauses a run instead of ending it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from core.errors import CxrError, NoRoomError, StoppedError
from core.events import Continued, Paused
from core.store.disk import passing_trouble, trouble_in_words
from core.store.recorder import Recorder
from core.store.session import Session
from core.training.control import Control

_Made = TypeVar("_Made")


class Keep(Protocol):
    """``RoomWait.keep``, for code that needs nothing else of it."""

    def __call__(self, write: Callable[[], _Made], /) -> _Made:
        """Return the result of ``write``, once the disk accepts it."""


_FIRST_TRY_SECONDS, _LAST_TRY_SECONDS = 0.25, 10.0
_PARTING_SECONDS = 2.0
"""How long a run that was asked to stop keeps trying to save its last checkpoint."""


@dataclass
class _Hold:
    """A write that is waiting."""

    reason: str
    since: float = field(default_factory=time.monotonic)
    next_try_seconds: float = _FIRST_TRY_SECONDS


@dataclass
class RoomWait:
    """Writes what must be saved, and waits while the disk refuses it.

    Every write of a run goes through ``keep``. A write that fails must leave the disk as it was,
    and must be repeatable.

    Args:
        session: the run's session.
        control: asked while waiting; a stop ends the wait.
        recorder: told when the run pauses and when it continues.
        limit_seconds: the longest wait; None: until there is space, or a stop.
    """

    session: Session
    control: Control
    recorder: Recorder
    limit_seconds: float | None
    _holds: int = field(default=0)

    def keep(self, write: Callable[[], _Made]) -> _Made:
        """Return the result of ``write``, once the disk accepts it.

        ``write`` may itself call ``keep``: each waits for its own part.

        Raises:
            StoppedError: a stop was requested while waiting, or the time was up.
            OSError, CxrError: waiting can't fix it.
        """
        hold: _Hold | None = None
        try:
            while True:
                place = self.session.path
                try:
                    made = write()
                    break
                except (OSError, CxrError) as error:
                    self.recorder.writer.require_folder()
                    if self.session.path != place:
                        continue  # the session was moved meanwhile: try again there
                    trouble = passing_trouble(error)
                    # A run that had enough space at its start waits until it has as much again.
                    if trouble is None and not (hold and isinstance(error, NoRoomError)):
                        raise
                    hold = hold or self._begin(_in_words(error, trouble, self.session))
                    self._wait(hold, error)
        finally:
            self._holds -= hold is not None
        if hold is not None and self._holds == 0:
            self.recorder.say(Continued(step=self.recorder.step))
        return made

    def _begin(self, reason: str) -> _Hold:
        self._holds += 1
        self.recorder.say(Paused(step=self.recorder.step, reason=reason + self._patience()))
        return _Hold(reason)

    def _wait(self, hold: _Hold, error: Exception) -> None:
        """Wait until the next attempt."""
        waited = time.monotonic() - hold.since
        limit = self.limit_seconds
        if limit is not None and waited >= limit:
            what = f"{hold.reason}, for {waited / 60:.1f} minutes now"
            raise self._given_up(what) from error
        pause = hold.next_try_seconds if limit is None else min(hold.next_try_seconds, limit)
        hold.next_try_seconds = min(2 * hold.next_try_seconds, _LAST_TRY_SECONDS)
        if self.control.stop_requested:
            time.sleep(min(pause, _PARTING_SECONDS))
        else:
            self.control.wait(pause)
        if self.control.stop_requested and waited >= _PARTING_SECONDS:
            raise self._given_up(f"asked to stop while waiting: {hold.reason}") from error

    def _patience(self) -> str:
        if self.limit_seconds is None:
            return ""
        return f"; waiting for space for {self.limit_seconds / 60:g} minutes"

    def _given_up(self, what: str) -> StoppedError:
        return StoppedError(
            what,
            where=self.session.path,
            why=f"What was saved is intact: the checkpoint of step {self.recorder.kept_step:,}"
            if self.recorder.kept_step
            else "",
            remedy=f"Free disk space, then: cxr-tui --resume {self.session.path}",
        )


def _in_words(error: Exception, trouble: OSError | None, session: Session) -> str:
    if trouble is not None:
        return trouble_in_words(trouble, session.path)
    return error.what if isinstance(error, CxrError) else str(error)
