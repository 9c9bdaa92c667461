"""What a session's file already holds, read by one thread for another."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable
from pathlib import Path

from core.events import Event
from core.store.event_log import EventReader
from core.store.session import Session


class Past:
    """A session's events up to now, thinned: one thread reads them, another takes them."""

    def __init__(self, session: Session) -> None:
        self.reader = EventReader(session.events_path)
        self.is_reading = True
        self._size = _size_of(session.events_path)
        self._events: collections.deque[Event] = collections.deque()

    def read(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Read it, for seconds if it is long; afterwards the reader is at its end."""
        with contextlib.suppress(OSError):  # the run reports a failing disk
            for events in self.reader.thinned():
                self._events.extend(events)
                if is_enough():
                    break
        self.is_reading = False

    @property
    def share_read(self) -> float | None:
        """Share of the initial file that is read, 0..1; None once it all is."""
        if not self.is_reading:
            return None
        return min(1.0, self.reader.offset / self._size) if self._size else 0.0

    def take(self) -> list[Event]:
        """The events since the last call, in order."""
        return taken(self._events)


def taken(events: collections.deque[Event]) -> list[Event]:
    """Events that another thread has added, in order."""
    out = []
    while events:
        out.append(events.popleft())
    return out


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not started, or not readable
        return 0
