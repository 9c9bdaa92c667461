"""What a run was asked to do, by its front end or by a file in the session."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import StoppedError
from core.events import Continued, Event, Paused
from core.requests import ONCE, NextRequest, Request

_POLL_SECONDS = 0.2


@dataclass
class Control:
    """Asks both for the next request; a stop, once asked for, stays, and so does abandoning."""

    next_request: NextRequest
    take_request: NextRequest
    record: Callable[[Event], None]
    stop_requested: bool = False
    abandon_requested: bool = False
    _asked_files: float = field(default=0.0)
    _pause_in_files: bool = False
    _owed: list[Request] = field(default_factory=list)

    def ask(self) -> Request:
        """The next thing to do. Files are looked at a few times a second, not at every step."""
        request = self.next_request()
        if request is Request.PAUSE:
            self._asked_files = 0.0  # it may be handed on to a file: look there next
        if request is Request.CONTINUE:
            request = self._ask_files()
        if request is Request.CONTINUE and self._owed:
            request = self._owed.pop(0)
        self.abandon_requested = self.abandon_requested or request is Request.ABANDON
        self.stop_requested = (
            self.stop_requested or self.abandon_requested or request is Request.STOP
        )
        return Request.STOP if self.stop_requested else request

    def may_go_on(self) -> bool:
        """False once a stop was asked for; for loops that can only stop, not pause.

        A checkpoint or a range test asked for meanwhile is owed until a step can answer.
        """
        request = self.ask()
        if request in ONCE:
            self._owe(request)
        return request is not Request.STOP

    def stop_if_asked(self) -> None:
        """For what can only stop, by an exception.

        Raises:
            StoppedError: a stop was asked for.
        """
        if not self.may_go_on():
            raise StoppedError("asked to stop")

    def wait(self, seconds: float) -> bool:
        """Let the time pass, or less where a stop is asked for; False then."""
        until = time.monotonic() + seconds
        while self.may_go_on():
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(_POLL_SECONDS, left))
        return False

    def hold(self, step: int) -> None:
        """Wait for as long as the answer is pause; the checkpoint of a pause covers every step."""
        self.record(Paused(step=step, reason="asked to pause"))
        owed = []
        while (request := self.ask()) in (Request.PAUSE, *ONCE):
            if request is Request.TRY_RATES:  # the pause's own checkpoint covers every step
                owed.append(request)
            time.sleep(_POLL_SECONDS)
        for request in owed:
            self._owe(request)
        if not self.stop_requested:
            self.record(Continued(step=step))

    def _ask_files(self) -> Request:
        if time.monotonic() - self._asked_files >= _POLL_SECONDS:
            self._asked_files = time.monotonic()
            request = self.take_request()
            if request not in ONCE:
                self._pause_in_files = request is Request.PAUSE
            return request
        # Between two looks a pause stands.
        return Request.PAUSE if self._pause_in_files else Request.CONTINUE

    def _owe(self, request: Request) -> None:
        if request not in self._owed:
            self._owed.append(request)


def stop_if_asked(next_request: NextRequest) -> None:
    """For a run that has no files to look into yet.

    Raises:
        StoppedError: a stop was asked for.
    """
    if next_request() in (Request.STOP, Request.ABANDON):
        raise StoppedError("asked to stop")
