"""The only bridge to the engine: one thread runs core.run; this side never waits for it.

Events are queued until the painting thread takes them, requests until the engine asks for them at
its next step.
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
from cxr_tui.runs.on_end import STOPPED, RunWatch
from cxr_tui.runs.past import Past, taken

_Made = TypeVar("_Made")
_LOOK_SECONDS = 0.2

AtEnd = Callable[[Session, int, float | None], None]
"""Takes the session, the exit code and the mean AUROC of test, None if there is none."""


class Runner:
    """One run of a session on its own thread; a ``Source`` of its events.

    Args:
        session: to run.
        device: to compute on, as on the command line.
        cache: folder of the image caches.
        made: the directory of a new session; if its start is refused, it is deleted.
        changed: replaces the session's recipe.
        at_end: called once on the run's thread when the run has ended; must return at once.
    """

    def __init__(
        self,
        session: Session,
        *,
        device: str,
        cache: Path,
        made: os.stat_result | None = None,
        changed: Recipe | None = None,
        at_end: AtEnd | None = None,
    ) -> None:
        self.session = session
        self.past = Past(session)
        self.error: str | None = None
        self.failure: CxrError | None = None
        self.is_taken_away = False
        self.is_handed_over = False
        """Whether another process goes on with it, so that a stop is not its end."""
        self._made, self._changed, self._at_end = made, changed, at_end
        self._device, self._cache = device, cache
        self._events: collections.deque[Event] = collections.deque()
        self._request = Request.CONTINUE
        # Reentrant, since a signal handler may take it again on its own thread.
        self._asking = threading.RLock()
        self._short_work: collections.deque[tuple[Callable[[], Any], Future[Any]]] = (
            collections.deque()
        )
        # Not a daemon: the interpreter would end it in the middle of a checkpoint.
        self._thread = threading.Thread(target=self._run, name="run", daemon=False)

    runs_here = True

    def start(self) -> None:
        """Start; torch is loaded on the thread, not here."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread is still running."""
        return self._thread.is_alive()

    def take_events(self) -> list[Event]:
        """This run's events since the last call, in order."""
        return taken(self._events)

    def ask(self, request: Request) -> None:
        """Do this at the next step. A stop can't be withdrawn, and abandoning takes precedence.

        Raises:
            OSError: the session's folder is gone, or not writable.
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
        """The last request."""
        return self._request

    def between_steps(self, work: Callable[[], _Made]) -> _Made:
        """Do a short piece of work on the run's thread, before its next step, and wait for it.

        So the two never compute at the same time, and the run waits for the duration of this work.
        If the run ends first, the work is done here. Not for the painting thread.
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
        """Wait for the thread to end; returns whether it did."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Do nothing: a run continues while another session is shown."""

    def _next_request(self) -> Request:
        if self._short_work:
            self._do_short_work()
        with self._asking:
            request = self._request
            if request in ONCE:
                self._request = Request.CONTINUE
            if request is Request.PAUSE:
                # From here on the request is in the session's directory, where other consoles can
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
        watch, code = RunWatch(), 1
        try:
            code = self._ran(watch)
        finally:
            goes_on = self.is_handed_over and code == STOPPED
            if self._at_end is not None and watch.has_begun and not goes_on:
                self._at_end(self.session, code, watch.mean_auroc)

    def _ran(self, watch: RunWatch) -> int:
        """Run; returns the exit code that ``--batch`` would have given."""

        def take(event: Event) -> None:
            watch(event)
            self._events.append(event)

        try:
            self.past.read()
            from core.run import Machine, run  # seconds: torch is loaded here, off the screen

            # A full collection visits every object that torch created: 200 ms in which no key is
            # answered. Frozen objects are skipped, and these live as long as the process.
            gc.freeze()
            machine = Machine(self._device, self._cache, is_attended=True)
            is_done = run(self.session, take, self._next_request, machine, self._changed)
        except CxrError as error:
            if self._made is not None:
                self.is_taken_away = take_away_refused(self.session, self._made, error)
            self.error, self.failure = str(error), error
            return error.exit_code
        except Exception as error:  # noqa: BLE001 - a door: the log has the traceback already
            self.error = f"{internal_error(error)} ({self.session.log})"
            self.failure = CxrError(internal_error(error), where=self.session.log)
            return self.failure.exit_code
        return 0 if is_done else STOPPED
