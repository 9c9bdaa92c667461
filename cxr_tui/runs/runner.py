"""The only bridge to the engine: one thread runs core.run; this side never waits for it.

Events are put where the painting thread takes them when it likes, requests where the engine
asks for them at its next step.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from core.errors import CxrError, internal_error
from core.events import Event
from core.recipe import Recipe
from core.requests import ONCE, Request
from core.store.refused import take_away_refused
from core.store.session import Session
from cxr_tui.runs.past import Past, taken

_Made = TypeVar("_Made")
_LOOK_SECONDS = 0.2


class Runner:
    """One run of a session on a thread of its own.

    Args:
        session: to run.
        device: to compute on, as on the command line.
        cache: folder of the caches of images.
        made: the session's folder where it was made just now; where its start is refused, it goes.
        changed: takes the place of the session's recipe.
    """

    def __init__(
        self,
        session: Session,
        *,
        device: str,
        cache: Path,
        made: os.stat_result | None = None,
        changed: Recipe | None = None,
    ) -> None:
        self.session = session
        self.error: str | None = None
        self.is_taken_away = False
        self._made, self._changed = made, changed
        self._device, self._cache = device, cache
        self._past = Past(session)
        self._events: collections.deque[Event] = collections.deque()
        self._request = Request.CONTINUE
        # Of the kind that a signal's handler may take again on its own thread.
        self._asking = threading.RLock()
        self._short_work: collections.deque[tuple[Callable[[], Any], Future[Any]]] = (
            collections.deque()
        )
        # Not a daemon: the interpreter would otherwise end it in the middle of a checkpoint.
        self._thread = threading.Thread(target=self._run, name="run", daemon=False)

    def start(self) -> None:
        """Begin; torch is loaded on the thread, not here."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread is still at it."""
        return self._thread.is_alive()

    @property
    def is_reading(self) -> bool:
        """Whether what an earlier run left is not all read; this run begins then."""
        return self._past.is_reading

    @property
    def share_read(self) -> float | None:
        """How much of what an earlier run left is read, 0..1; None once it all is."""
        return self._past.share_read

    def take_past(self) -> list[Event]:
        """Events of earlier runs since the last call, thinned, in order."""
        return self._past.take()

    def take_events(self) -> list[Event]:
        """This run's events since the last call, in order; take those of earlier runs first."""
        return taken(self._events)

    def ask(self, request: Request) -> None:
        """Do this at the next step. A stop can't be taken back, and abandoning goes before it.

        Raises:
            OSError: the session's folder is gone, or not ours to write to.
        """
        with self._asking:
            if self._request is Request.ABANDON:
                return
            if self._request is not Request.STOP or request is Request.ABANDON:
                self._request = request
            if request is Request.CONTINUE:
                self.session.ask(request)

    @property
    def asked_for(self) -> Request:
        """What was asked for last."""
        return self._request

    def between_steps(self, work: Callable[[], _Made]) -> _Made:
        """Do a short piece of work on the run's thread, before its next step, and wait for it.

        So the two never compute at the same time, and the run waits for the length of this work.
        Where the run ends first the work is done here. Not for the painting thread.
        """
        done: Future[_Made] = Future()
        self._short_work.append((work, done))
        while True:
            try:
                return done.result(timeout=_LOOK_SECONDS)
            except TimeoutError:
                if not self.is_running and done.cancel():
                    return work()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the thread's end; whether it came."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _next_request(self) -> Request:
        if self._short_work:
            self._do_short_work()
        with self._asking:
            request = self._request
            if request in ONCE:
                self._request = Request.CONTINUE
            if request is Request.PAUSE:
                # From here on it stands in the session's folder, where other consoles can
                # withdraw it too: ours may be gone by then. On a full disk it stays with us.
                with contextlib.suppress(OSError):
                    self.session.ask(request)
                    self._request = Request.CONTINUE
        return request

    def _do_short_work(self) -> None:
        work, done = self._short_work.popleft()
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - a door: it is raised where the work was asked for
            done.set_exception(error)

    def _run(self) -> None:
        try:
            self._past.read()
            from core.run import Machine, run  # seconds: torch is loaded here, off the screen

            # A full collection walks over every object that torch brought, 200 ms in which no key
            # is answered; frozen ones are passed over, and these live as long as we do.
            gc.freeze()
            machine = Machine(self._device, self._cache, is_attended=True)
            run(self.session, self._events.append, self._next_request, machine, self._changed)
        except CxrError as error:
            if self._made is not None:
                self.is_taken_away = take_away_refused(self.session, self._made, error)
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - a door: the log has the traceback already
            self.error = f"{internal_error(error)} ({self.session.log})"
