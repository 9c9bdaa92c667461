"""Follow a run's events on a thread of its own and tell them to the recipe's trackers.

The thread reads events.jsonl, as an attached console does. So a slow server delays no step and
needs no memory, and nothing is missed: what a killed process had not told, its successor tells. A
tracker that fails is dropped with one warning; the next run of the session tells it the rest.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from core.events import Event, Warned
from core.recipe import Recipe
from core.store.recorder import Recorder
from core.tracking.followed import Followed
from core.tracking.tracker import require_trackers

_PAUSE_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 20.0
"""How long the end of a run waits for its trackers."""


class Observers:
    """A receiver of a run's events that passes them on and wakes the trackers' thread.

    Args:
        emit: receives every event first.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._record: Recorder | None = None
        self._followed: list[Followed] = []
        self._changed = threading.Condition()
        self._asked, self._told = 0, 0
        self._is_urgent, self._is_ending = False, False
        # A daemon: a server that doesn't answer must not keep the process.
        self._thread = threading.Thread(target=self._follow, name="trackers", daemon=True)

    def start(self, record: Recorder, recipe: Recipe, miniature_images: int | None) -> None:
        """Begin, unless the run is a check in miniature, which nobody wants to see later.

        Warnings are recorded by ``record``, on the run's thread.

        Raises:
            UsageError: a tracker of the recipe is not installed.
        """
        trackers = tuple(dict.fromkeys(recipe.train.trackers))
        require_trackers(trackers)
        if not trackers or miniature_images is not None:
            return
        self._record, session = record, record.writer.session
        self._followed = [Followed(session, name, recipe) for name in trackers]
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Pass the event on; after the terminal one, wait a little for the trackers."""
        self._emit(event)
        if self._record is None:
            return
        self._ask(is_ending=event.ends_run)
        if event.ends_run:
            self._thread.join(_LONGEST_WAIT_SECONDS)
            self._note_in_log(self._record)
        else:
            self._warn(self._record)

    def settle(self) -> None:
        """Wait a little before the terminal event, so that a failure can still be a warning."""
        if self._record is None:
            return
        asked = self._ask(is_urgent=True)
        with self._changed:
            self._changed.wait_for(lambda: self._told >= asked, _LONGEST_WAIT_SECONDS)
        self._warn(self._record)

    def _ask(self, *, is_urgent: bool = False, is_ending: bool = False) -> int:
        with self._changed:
            self._asked += 1
            self._is_ending = self._is_ending or is_ending
            self._is_urgent = self._is_urgent or is_urgent or is_ending
            self._changed.notify_all()
            return self._asked

    def _warn(self, record: Recorder) -> None:
        for message in self._failures():
            record(Warned(message=message, where="train.trackers"))

    def _failures(self) -> list[str]:
        """Those that nobody was told of."""
        return [told for one in self._followed if (told := one.take_failure()) is not None]

    def _note_in_log(self, record: Recorder) -> None:
        """After the terminal event no other may follow: what fails now is a line of the log."""
        late = [one.name for one in self._followed if not one.is_closed]
        slow = [f"{name} did not take the run's last figures in time" for name in late]
        with contextlib.suppress(OSError):  # on a full disk
            for message in [*self._failures(), *slow]:
                record.writer.note(f"train.trackers: {message}")

    def _follow(self) -> None:
        """The thread: events of a pause are told together."""
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._told)
                asked, is_last, self._is_urgent = self._asked, self._is_ending, False
            for one in self._followed:
                one.tell_news()
            with self._changed:
                self._told = asked
                self._changed.notify_all()
                if not is_last:
                    self._changed.wait_for(lambda: self._is_urgent, _PAUSE_SECONDS)
        for one in self._followed:
            one.close()
