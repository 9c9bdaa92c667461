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
    _since: float | None = field(default=None)
    _next_try_seconds: float = field(default=_FIRST_TRY_SECONDS)

    def keep(self, write: Callable[[], _Made]) -> _Made:
        """What ``write`` gives, as soon as the disk takes it.

        Raises:
            StoppedError: it was asked to stop meanwhile, or the time was up.
            OSError, CxrError: what waiting doesn't mend.
        """
        while True:
            try:
                made = write()
            except (OSError, CxrError) as error:
                trouble = passing_trouble(error)
                # A run that began with room enough waits until there is as much again.
                if trouble is None and not (
                    self._since is not None and isinstance(error, NoRoomError)
                ):
                    raise
                self._hold(error, _in_words(error, trouble, self.session))
            else:
                self._go_on()
                return made

    def _hold(self, error: Exception, reason: str) -> None:
        if self._since is None:
            self._since, self._next_try_seconds = time.monotonic(), _FIRST_TRY_SECONDS
            self.recorder.say(Paused(step=self.recorder.step, reason=reason + self._patience()))
        waited = time.monotonic() - self._since
        limit = self.limit_seconds
        if limit is not None and waited >= limit:
            raise self._given_up(
                f"{reason}, and so it was for {waited / 60:.1f} minutes"
            ) from error
        pause = self._next_try_seconds if limit is None else min(self._next_try_seconds, limit)
        self._next_try_seconds = min(2 * self._next_try_seconds, _LAST_TRY_SECONDS)
        if self.control.stop_requested:
            if waited >= _PARTING_SECONDS:
                raise self._given_up(f"asked to stop, with {reason}") from error
            time.sleep(min(pause, _PARTING_SECONDS))
        elif not self.control.wait(pause) and waited >= _PARTING_SECONDS:
            raise self._given_up(f"asked to stop, with {reason}") from error

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

    def _go_on(self) -> None:
        if self._since is not None:
            self._since = None
            self.recorder.say(Continued(step=self.recorder.step))


def _in_words(error: Exception, trouble: OSError | None, session: Session) -> str:
    if trouble is not None:
        return trouble_in_words(trouble, session.path)
    return error.what if isinstance(error, CxrError) else str(error)
