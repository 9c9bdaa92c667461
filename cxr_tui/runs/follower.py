"""A session that another process writes, or that is over: its events, read from the file.

Has the face of ``Runner``: whoever paints takes events and needn't know where they come from.
"""

from __future__ import annotations

import collections
import threading

from core.events import Event
from core.store.session import Session
from cxr_tui.runs.past import Past, taken

_POLL_SECONDS = 0.5


class Follower:
    """A session that another process writes, or that is over: up to now, then as events come."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._past = Past(session)
        self._events: collections.deque[Event] = collections.deque()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def is_reading(self) -> bool:
        """Whether what was there at the start is not all read."""
        return self._past.is_reading

    @property
    def share_read(self) -> float | None:
        """How much of what was there at the start is read, 0..1; None once it all is."""
        return self._past.share_read

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        is_reading = self._past.is_reading  # asked first: what comes later comes after the past
        past = self._past.take()
        return past if is_reading else past + taken(self._events)

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()

    def _follow(self) -> None:
        self._past.read(self._closed.is_set)
        while not self._closed.wait(_POLL_SECONDS):
            self._events.extend(self._past.reader.new_events())
