"""``queue run``: takes one entry of the queue after the other, without a screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import CxrError, RunFailedError, StoppedError, internal_error
from core.events import Event
from core.named_run import STOPPED, NamedRun, Outcome
from core.store.queue.entry import Ended, Entry, read_entry
from core.store.queue.queue import Queue
from core.store.queue.role import take_role
from core.store.queue.taking import TakenEntry, take_next
from core.store.session import Session
from core.training.control import stop_if_asked
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.runs.on_end import OnEnd, RunWatch
from cxr_tui.terminal.stdout import say

_LOOK_SECONDS, _SLICE_SECONDS = 2.0, 0.1
_AGAIN_SECONDS = 60.0
"""An entry that lacks space, or whose session somebody else runs, is tried again after this."""
_GO_ON = "stopped   go on with: cxr-tui queue run"


@dataclass(frozen=True)
class Work:
    """What this worker did with one entry."""

    entry: Entry
    ended: Ended
    seconds: float


@dataclass
class _Passed:
    """Entries left in their places for now, and until when."""

    until: dict[str, float] = field(default_factory=dict)
    lacking_since: float | None = None

    def add(self, entry: Entry, *, lacks_room: bool) -> None:
        self.until[entry.name] = time.monotonic() + _AGAIN_SECONDS
        if lacks_room:
            self.lacking_since = self.lacking_since or time.monotonic()

    def names(self, queue: Queue) -> set[str]:
        """Those that still wait; others' workers may have ended some."""
        now = time.monotonic()
        for name, until in list(self.until.items()):
            entry = read_entry(queue.path / name)
            if now >= until or entry is None or entry.ended is not None:
                del self.until[name]
        return set(self.until)

    def may_have_room(self, queue: Queue) -> bool:
        """Whether an entry lacks space, for less than the time that a run waits for it."""
        if self.lacking_since is None or queue.is_paused:
            return False
        lacking = [entry for entry in queue.entries() if entry.name in self.until]
        minutes = [one.recipe.train.disk_wait_minutes for one in lacking if not one.fault]
        return time.monotonic() - self.lacking_since < 60 * max(minutes, default=0.0)


@dataclass
class QueueWorker:
    """Works until it is stopped or, with ``until_empty``, until nothing is left to take.

    ``ended`` is called with each entry that ended.
    """

    queue: Queue
    device: str
    cache: Path
    until_empty: bool
    ended: Callable[[Work], None]
    on_end: str | None = None
    """The user's command for the end of a run; see ``cxr_tui.runs.on_end``."""
    _codes: list[int] = field(default_factory=list)
    _passed: _Passed = field(default_factory=_Passed)
    _narrator: Narrator = field(default_factory=Narrator)

    def work(self) -> int:
        """Work; the exit code is 75 after a stop, else that of the first entry that failed, or 0.

        Raises:
            SessionError: another worker has this GPU.
        """
        for entry in self.queue.entries():
            if entry.fault:
                say(f"cxr-tui: entry {entry.number} is left out: {entry.fault}")
        role = take_role(self.queue, self.device)
        try:
            with StopSignals() as signals:
                for taken in self._taken(signals):
                    try:
                        if not self._worked_on(taken, signals):
                            return STOPPED
                    finally:
                        taken.release()
                if signals.stop_requested or self._passed.names(self.queue):
                    self._narrator.tell(_GO_ON)
                    return STOPPED
        except (StoppedError, KeyboardInterrupt):
            return STOPPED  # what was saved is intact
        finally:
            role.give_up()
        return next(iter(sorted(filter(None, self._codes), key=lambda code: code == STOPPED)), 0)

    def _taken(self, signals: StopSignals) -> Iterator[TakenEntry]:
        """Each entry to work on; it waits for more unless the queue is to be emptied."""
        is_told = False
        while not signals.stop_requested:
            passed = self._passed.names(self.queue)
            taken = take_next(self.queue, passed, lambda: stop_if_asked(signals.next_request))
            if taken is not None:
                is_told = False
                yield taken
                continue
            if self.until_empty and not self._passed.may_have_room(self.queue):
                if self.queue.is_paused:
                    self._narrator.tell(self._why_it_waits())
                return
            if not is_told:
                self._narrator.tell(self._why_it_waits())
                is_told = True
            _wait(signals)

    def _why_it_waits(self) -> str:
        if self.queue.is_paused:
            return "queue     paused; go on with: cxr-tui queue resume"
        if self._passed.until:
            return "queue     waiting for space on the disk"
        return "queue     nothing to take; waiting for entries (Ctrl-C ends)"

    def _worked_on(self, taken: TakenEntry, signals: StopSignals) -> bool:
        """Run the entry and record its end; False if this worker is to stop."""
        entry, started = taken.entry, time.monotonic()
        self._narrator = Narrator()
        self._narrator.tell(f"queue     {entry.name}")
        watch = RunWatch()
        outcome = self._outcome(taken, signals, watch)
        self._narrator.close()
        self._run_on_end(entry, outcome, watch, signals)
        error = outcome.error
        message = "" if error is None else str(error)
        if signals.stop_requested or outcome.has_waited_for_room:
            if message:
                say(f"cxr-tui: {message}")
            self._narrator.tell(_GO_ON)
            return False
        if outcome.state == "held" or outcome.lacks_room:
            self._pass(taken, message, lacks_room=outcome.state != "held")
            return True
        ended = Ended(outcome.state, outcome.exit_code, message, time.time())
        try:
            taken.end(ended)
        except OSError as failure:
            self._pass(taken, f"{failure.filename}: {failure.strerror}", lacks_room=True)
            return True
        if message:
            say(f"cxr-tui: {message}")
        self._narrator.tell(f"queue     {entry.name} {ended.state}")
        self._codes.append(ended.exit_code)
        self._passed = _Passed()  # there is room, so what lacked it is tried at once
        self.ended(Work(entry, ended, time.monotonic() - started))
        return True

    def _run_on_end(
        self, entry: Entry, outcome: Outcome, watch: RunWatch, signals: StopSignals
    ) -> None:
        """Tell the user's command of the end; a signal that comes meanwhile ends it."""
        if self.on_end is None or not watch.has_begun:
            return
        was_stopped = signals.stop_requested
        should_end = lambda: signals.stop_requested and not was_stopped  # noqa: E731
        on_end = OnEnd(self.on_end, should_end=should_end)
        if warning := on_end.run(entry.session, outcome.exit_code, watch.mean_auroc):
            self._narrator.warn(warning)

    def _outcome(self, taken: TakenEntry, signals: StopSignals, watch: RunWatch) -> Outcome:
        entry, narrator = taken.entry, self._narrator

        def emit(event: Event) -> None:
            watch(event)
            narrator(event)

        def made(session: Session) -> None:
            taken.begin()
            narrator.starts(str(session.path), session.recipe.train.epochs)

        try:
            run = NamedRun(
                *(self.queue.sessions, entry.session.name, entry.recipe), self.device, self.cache
            )
            return run(emit, signals.next_request, made)
        except CxrError as error:
            return Outcome("failed", error)
        except OSError as error:
            return Outcome("failed", _named(error))
        except Exception as error:  # noqa: BLE001 - a door: a bug in one run must not stop the others
            return Outcome("failed", CxrError(internal_error(error), where=entry.session.log))

    def _pass(self, taken: TakenEntry, why: str, *, lacks_room: bool) -> None:
        """Leave the entry in its place, and try it again after the others."""
        self._narrator.warn(f"{taken.entry.name} is tried again later: {why}")
        self._passed.add(taken.entry, lacks_room=lacks_room)
        if lacks_room:
            taken.leave_for_later()


def _named(error: OSError) -> CxrError:
    named = RunFailedError(error.strerror or str(error), where=error.filename)
    named.__cause__ = error
    return named


def _wait(signals: StopSignals) -> None:
    until = time.monotonic() + _LOOK_SECONDS
    while not signals.stop_requested and time.monotonic() < until:
        time.sleep(_SLICE_SECONDS)
