"""The queue as it is shown: its entries with their states, and when it is expected to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.store.queue.entry import Entry
from core.store.queue.queue import Queue
from cxr_tui.runs.queue_end import QueueClock, QueueEnd
from cxr_tui.runs.queue_words import clock_of_end, end_in_words

LEFT = ("running", "begun", "waiting")
"""States of entries that aren't over."""


@dataclass(frozen=True)
class QueueSeen:
    """One look at a folder's queue.

    Attributes:
        rows: each entry and its state, in the order in which they are taken.
        end: the expected one.
        is_paused: whether nothing is taken.
    """

    rows: tuple[tuple[Entry, str], ...] = ()
    end: QueueEnd = field(default_factory=lambda: QueueEnd(0.0, 0, {}))
    is_paused: bool = False

    def number(self, *states: str) -> int:
        """How many entries are in one of these states."""
        return sum(state in states for _, state in self.rows)

    @property
    def brief(self) -> str:
        """How many run, wait and failed, and when it is done, in as few words as possible."""
        return self._said(clock_of_end(self.end, self._states))

    @property
    def words(self) -> str:
        """The same in a sentence."""
        return self._said(end_in_words(self.end, self._states))

    @property
    def _states(self) -> list[str]:
        return [state for _, state in self.rows]

    def _said(self, end: str) -> str:
        said = [
            f"{number} {what}"
            for what, states in (
                ("running", ("running",)),
                ("waiting", ("waiting", "begun")),
                ("failed", ("failed", "damaged")),
                ("stopped", ("stopped",)),
            )
            if (number := self.number(*states))
        ]
        said = ["paused", *said] if self.is_paused else said
        return ", ".join([*said, end] if end else said) or "done"


class QueueLook:
    """Looks again and again; sessions that were timed are read once."""

    def __init__(self, sessions: Path) -> None:
        self._queue, self._clock = Queue(sessions), QueueClock(sessions)

    def look(self) -> QueueSeen:
        """Read it now; takes a moment, so not on the painting thread."""
        rows = tuple((entry, entry.state()) for entry in self._queue.entries())
        end = self._clock.end(rows) if rows else QueueSeen().end
        return QueueSeen(rows, end, self._queue.is_paused)
