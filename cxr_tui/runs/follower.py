"""A session that another process writes, or that has ended: its events, read from the file."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import TypeVar

from core.errors import CxrError
from core.events import Event
from core.requests import Request
from core.store.session import Session
from cxr_tui.runs.past import Past, taken

_Made = TypeVar("_Made")
_POLL_SECONDS = 0.5


class Follower:
    """Reads a session's events so far, then new ones; a ``Source`` of them."""

    runs_here = is_running = is_taken_away = is_handed_over = False
    error: str | None = None
    failure: CxrError | None = None
    asked_for = Request.CONTINUE

    def __init__(self, session: Session) -> None:
        self.session = session
        self.past = Past(session)
        self._events: collections.deque[Event] = collections.deque()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        return taken(self._events)

    def ask(self, request: Request) -> None:
        """Ask the process that writes the session, by a file in its directory."""
        self.session.ask(request)

    def between_steps(self, work: Callable[[], _Made]) -> _Made:
        """Do it now: no step is computed here."""
        return work()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """True: nothing here has to end first."""
        return True

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()

    def _follow(self) -> None:
        self.past.read(self._closed.is_set)
        while not self._closed.wait(_POLL_SECONDS):
            self._events.extend(self.past.reader.new_events())
