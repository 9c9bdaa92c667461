"""Whether a trial is worth going on with, asked at each event of its run."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.events import Diagnosed, EpochDone, Event
from core.health.diagnosis import Severity
from core.search.storage import STORAGE_ERRORS
from core.search.study import TakenTrial
from core.store.session import Session

HOPELESS = ("few-images", "gradient", "same-for-every-image")
"""Checks of a trial's own settings; those of the data are the same in every trial."""


@dataclass
class Judge:
    """Called with each event of one trial.

    Attributes:
        epochs: of the recipe; after the last one nothing is left to prune.
        lost: the storage's error, if it went away: the run should stop.
    """

    taken: TakenTrial
    epochs: int
    lost: Exception | None = None
    why_pruned: str = ""
    _reported: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.why_pruned = self.taken.why_pruned
        self._reported = set(self.taken.reported)

    def catch_up(self, session: Session) -> None:
        """Judge what the trial's session shows already, if it was begun before."""
        for event in session.milestones():
            self(event)

    @property
    def should_stop(self) -> bool:
        """Whether the run should stop now."""
        return bool(self.why_pruned) or self.lost is not None

    def __call__(self, event: Event) -> None:
        """Report an epoch, or take notice of a diagnosis."""
        if self.should_stop:
            return
        try:
            if isinstance(event, EpochDone):
                self._report(event)
            elif isinstance(event, Diagnosed) and _is_hopeless(event):
                self._prune(f"health: {event.check}")
        except STORAGE_ERRORS as error:
            self.lost = error

    def _report(self, done: EpochDone) -> None:
        if done.mean_auroc is None:
            return
        trial = self.taken.trial
        if done.epoch not in self._reported:  # once is enough for a resumed epoch
            self._reported.add(done.epoch)
            trial.report(done.mean_auroc, done.epoch)
        if done.epoch < self.epochs and trial.should_prune():
            self._prune(f"halving after epoch {done.epoch}")

    def _prune(self, why: str) -> None:
        self.taken.trial.set_user_attr("why", why)  # first, so that a kill doesn't lose it
        self.why_pruned = why


def _is_hopeless(event: Diagnosed) -> bool:
    return event.severity == Severity.STOP and event.check in HOPELESS


def val_auroc(session: Session) -> float | None:
    """Mean val AUROC of the session's best epoch, whose weights it keeps; None if undefined."""
    best = None
    for event in session.milestones():
        if isinstance(event, EpochDone) and event.is_best:
            best = event.mean_auroc
    return best


def epochs_trained(session: Session) -> int:
    """The last epoch that it trained to its end."""
    ends = [event.epoch for event in session.milestones() if isinstance(event, EpochDone)]
    return max(ends, default=0)
