"""``search``: takes one trial after the other, without a screen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import CxrError, DataError, RunFailedError, StoppedError
from core.events import Event
from core.named_run import NamedRun, Outcome
from core.requests import Request
from core.search.judging import Judge, val_auroc
from core.search.storage import storage_errors_named
from core.search.study import Search, TakenTrial
from core.store.session import Session
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals

_LOOK_SECONDS, _SLICE_SECONDS = 2.0, 0.1


@dataclass
class SearchWorker:
    """Works on trials until the search has enough.

    Attributes:
        storage: its address, for messages.
        waits: whether it waits for the trials of other workers, and takes over those of dead ones.
    """

    search: Search
    storage: str
    device: str
    cache: Path
    waits: bool
    how_to_go_on: str
    _narrator: Narrator = field(default_factory=Narrator)

    def work(self) -> bool:
        """Work; False if stopped by a signal.

        Raises:
            StoppedError: the storage went away.
            CxrError: a trial failed in a way in which all would.
        """
        is_told = False
        with StopSignals() as signals:
            while not signals.stop_requested:
                with storage_errors_named(self.storage):
                    taken = self.search.next_trial()
                    others = [] if taken else self.search.running()
                if taken is None:
                    if not (others and self.waits):
                        return True
                    if not is_told:
                        told = f"waiting for {len(others)} of other workers (Ctrl-C ends)"
                        self._narrator.tell(f"search    {told}")
                    is_told = True
                    _wait(signals)
                    continue
                try:
                    if not self._worked_on(taken, signals):
                        break
                finally:
                    taken.release()
        self._narrator.tell(f"continue with: {self.how_to_go_on}")
        return False

    def _worked_on(self, taken: TakenTrial, signals: StopSignals) -> bool:
        """Run the trial and record its end; False if this worker is to stop."""
        sessions = self.search.place.path.parent.parent
        verb = "goes on" if taken.is_taken_over else "begins"
        self._narrator = Narrator()
        self._narrator.tell(f"search    {taken.session} {verb}")
        judge = Judge(taken, taken.recipe.train.epochs)
        run = NamedRun(sessions, taken.session, taken.recipe, self.device, self.cache)
        session = Session(sessions / taken.session)
        judge.catch_up(session)
        outcome = Outcome("stopped") if judge.should_stop else self._outcome(run, judge, signals)
        self._narrator.close()
        if judge.lost is not None:
            with storage_errors_named(self.storage):
                raise judge.lost
        if outcome.state != "finished" and not judge.why_pruned and self._stops(outcome):
            return False
        with storage_errors_named(self.storage):
            self._end(taken, session, judge, outcome)
        return not signals.stop_requested

    def _outcome(self, run: NamedRun, judge: Judge, signals: StopSignals) -> Outcome:
        narrator = self._narrator

        def emit(event: Event) -> None:
            narrator(event)
            judge(event)

        def next_request() -> Request:
            return Request.STOP if judge.should_stop else signals.next_request()

        def made(session: Session) -> None:
            narrator.starts(str(session.path), session.recipe.train.epochs)

        return run(emit, next_request, made)

    def _stops(self, outcome: Outcome) -> bool:
        """Whether this worker ends with the trial left to go on with.

        Raises:
            CxrError: every trial would fail like this, or somebody else runs its session.
        """
        error = outcome.error
        if error is None or isinstance(error, StoppedError):
            return outcome.state == "stopped"
        if outcome.state == "held" or outcome.lacks_room or not isinstance(error, RunFailedError):
            raise error
        return False

    def _end(self, taken: TakenTrial, session: Session, judge: Judge, outcome: Outcome) -> None:
        if judge.why_pruned:
            self.search.end(taken, None)
            self._narrator.tell(f"search    {taken.session} pruned: {judge.why_pruned}")
            return
        if outcome.state != "finished":
            why = str(outcome.error)
            self.search.end(taken, None, why)
            self._narrator.warn(f"{taken.session} failed: {why}")
            return
        value = val_auroc(session)
        if value is None:
            self.search.end(taken, None, "no mean AUROC on val")
            raise _undefined(taken)
        self.search.end(taken, value)
        self._narrator.tell(f"search    {taken.session} val AUROC {value:.3f}")


def _undefined(taken: TakenTrial) -> CxrError:
    return DataError(
        "no finding has enough positive patients in val to have an AUROC",
        where=f"session {taken.session}",
        why="A search is judged by the mean AUROC on val.",
        remedy="Use more images, or lower train.min_positive_patients.",
    )


def _wait(signals: StopSignals) -> None:
    until = time.monotonic() + _LOOK_SECONDS
    while not signals.stop_requested and time.monotonic() < until:
        time.sleep(_SLICE_SECONDS)
