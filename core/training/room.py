"""A disk that is full, or fails for a while, holds a run instead of ending it."""

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
    """``RoomWait.keep``, for what has nothing else to do with waiting."""

    def __call__(self, write: Callable[[], _Made], /) -> _Made:
        """What ``write`` gives, as soon as the disk takes it."""


_FIRST_TRY_SECONDS, _LAST_TRY_SECONDS = 0.25, 10.0
_PARTING_SECONDS = 2.0
"""For so long a run that is asked to stop still tries to keep its last checkpoint."""


@dataclass
class _Hold:
    """One write that waits."""

    reason: str
    since: float = field(default_factory=time.monotonic)
    next_try_seconds: float = _FIRST_TRY_SECONDS


@dataclass
class RoomWait:
    """Writes what must be kept, and waits for as long as the disk doesn't take it.

    Every write of a run goes through ``keep``. What it is given must leave the disk as it was
    where it fails, and be right when it is called again.

    Args:
        session: whose run it is.
        control: asked while it waits; a stop ends the waiting.
        recorder: told when the run holds and when it goes on.
        limit_seconds: it waits for so long at a time; None: until there is room, or a stop.
    """

    session: Session
    control: Control
    recorder: Recorder
    limit_seconds: float | None
    _holds: int = field(default=0)

    def keep(self, write: Callable[[], _Made]) -> _Made:
        """What ``write`` gives, as soon as the disk takes it.

        It may itself write by way of ``keep``: each waits for its own.

        Raises:
            StoppedError: it was asked to stop meanwhile, or the time was up.
            OSError, CxrError: what waiting doesn't mend.
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
                        continue  # it was moved meanwhile: once more, there
                    trouble = passing_trouble(error)
                    # A run that began with room enough waits until there is as much again.
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
        """Until the next attempt."""
        waited = time.monotonic() - hold.since
        limit = self.limit_seconds
        if limit is not None and waited >= limit:
            what = f"{hold.reason}, and so it was for {waited / 60:.1f} minutes"
            raise self._given_up(what) from error
        pause = hold.next_try_seconds if limit is None else min(hold.next_try_seconds, limit)
        hold.next_try_seconds = min(2 * hold.next_try_seconds, _LAST_TRY_SECONDS)
        if self.control.stop_requested:
            time.sleep(min(pause, _PARTING_SECONDS))
        else:
            self.control.wait(pause)
        if self.control.stop_requested and waited >= _PARTING_SECONDS:
            raise self._given_up(f"asked to stop, with {hold.reason}") from error

    def _patience(self) -> str:
        if self.limit_seconds is None:
            return ""
        return f"; waiting for room for {self.limit_seconds / 60:g} minutes"

    def _given_up(self, what: str) -> StoppedError:
        return StoppedError(
            what,
            where=self.session.path,
            why=f"What was kept is whole: the checkpoint of step {self.recorder.kept_step:,}"
            if self.recorder.kept_step
            else "",
            remedy=f"Make room, then: cxr-tui --resume {self.session.path}",
        )


def _in_words(error: Exception, trouble: OSError | None, session: Session) -> str:
    if trouble is not None:
        return trouble_in_words(trouble, session.path)
    return error.what if isinstance(error, CxrError) else str(error)
