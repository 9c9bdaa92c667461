"""A session that another process writes, or that is over: its events, read from the file.

Has the face of ``Runner``: whoever paints takes events and needn't know where they come from.
"""

from __future__ import annotations

import collections
import threading
from pathlib import Path

from core.events import Event
from core.store.event_log import EventReader
from core.store.session import Session

_POLL_SECONDS = 0.5


class Follower:
    """Reads a session's events on a thread: thinned up to now, then as they come."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_reading = True
        self._reader = EventReader(session.events_path)
        self._size = _size_of(session.events_path)
        self._events: collections.deque[Event] = collections.deque()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def share_read(self) -> float | None:
        """How much of what was there at the start is read, 0..1; None once it all is."""
        if not self.is_reading:
            return None
        return min(1.0, self._reader.offset / self._size) if self._size else 0.0

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()

    def _follow(self) -> None:
        for events in self._reader.thinned():
            self._events.extend(events)
            if self._closed.is_set():
                return
        self.is_reading = False
        while not self._closed.wait(_POLL_SECONDS):
            self._events.extend(self._reader.new_events())


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not begun, or not ours to read
        return 0
