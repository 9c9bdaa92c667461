"""Requests to a run, from its front end or from a file in the session."""

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
    """Asks both sources for the next request; a stop or abandon, once requested, stays."""

    next_request: NextRequest
    take_request: NextRequest
    record: Callable[[Event], None]
    stop_requested: bool = False
    abandon_requested: bool = False
    _asked_files: float = field(default=0.0)
    _pause_in_files: bool = False
    _owed: list[Request] = field(default_factory=list)

    def ask(self) -> Request:
        """The next request. Files are checked a few times a second, not at every step."""
        request = self.next_request()
        if request is Request.PAUSE:
            self._asked_files = 0.0  # it may be passed on as a file: check there next
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
        """False once a stop was requested; for loops that can only stop, not pause.

        A checkpoint or range test requested meanwhile is kept until a step can answer it.
        """
        request = self.ask()
        if request in ONCE:
            self._owe(request)
        return request is not Request.STOP

    def stop_if_asked(self) -> None:
        """Stop by an exception, for code that can only stop.

        Raises:
            StoppedError: a stop was requested.
        """
        if not self.may_go_on():
            raise StoppedError("asked to stop")

    def wait(self, seconds: float) -> bool:
        """Sleep; False if a stop was requested before the time was up."""
        until = time.monotonic() + seconds
        while self.may_go_on():
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(_POLL_SECONDS, left))
        return False

    def hold(self, step: int) -> None:
        """Wait while the request is pause; the checkpoint of the pause covers every step."""
        self.record(Paused(step=step, reason="asked to pause"))
        owed = []
        while (request := self.ask()) in (Request.PAUSE, *ONCE):
            if request is Request.TRY_RATES:  # a checkpoint needs no second one
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
        # Between two checks of the files a pause remains in force.
        return Request.PAUSE if self._pause_in_files else Request.CONTINUE

    def _owe(self, request: Request) -> None:
        if request not in self._owed:
            self._owed.append(request)


def stop_if_asked(next_request: NextRequest) -> None:
    """For a run that has no session files yet.

    Raises:
        StoppedError: a stop was requested.
    """
    if next_request() in (Request.STOP, Request.ABANDON):
        raise StoppedError("asked to stop")
