"""What happened in a session's runs, from its events, as its report needs it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.events import (
    DatasetReady,
    Diagnosed,
    EpochDone,
    Event,
    Finished,
    IngestDone,
    ModelReady,
    Resumed,
    RunStarted,
    StepRecorded,
    Warned,
)
from core.store.answers import StandingAnswers
from core.store.event_log import EventReader
from core.store.session import Session

_MOST_STEPS = 1500
_MOST_WARNINGS = 50


@dataclass
class History:
    """A session's past.

    Attributes:
        starts: runs that were started.
        epochs: those that stand, by number.
        steps: recorded steps (step, train loss), thinned.
        model: the last time that the network was put on a device.
        data: what the parts were drawn as.
        ingest: the images that were read.
        warnings: without duplicates.
        answers: the current diagnoses of the health checks.
        finished: the last end of a whole run, if there was one.
        last: the last event of any kind.
    """

    starts: int = 0
    resumes: int = 0
    epochs: dict[int, EpochDone] = field(default_factory=dict)
    steps: list[tuple[int, float]] = field(default_factory=list)
    model: ModelReady | None = None
    data: DatasetReady | None = None
    ingest: IngestDone | None = None
    warnings: dict[str, None] = field(default_factory=dict)
    answers: StandingAnswers = field(default_factory=StandingAnswers)
    began: float | None = None
    finished: Finished | None = None
    last: Event | None = None

    @classmethod
    def of(cls, session: Session) -> History:
        """Read it."""
        history = cls()
        for events in EventReader(session.events_path).thinned(_MOST_STEPS):
            history.take(events)
        return history

    @property
    def best(self) -> EpochDone | None:
        """The epoch whose network was scored on test."""
        return next(
            (one for _, one in sorted(self.epochs.items(), reverse=True) if one.is_best), None
        )

    @property
    def training_seconds(self) -> float:
        """Of all epochs that stand."""
        return sum(epoch.seconds for epoch in self.epochs.values())

    def take(self, events: Iterable[Event]) -> None:
        """Add later events."""
        for event in events:
            self.last = event
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.starts += 1
                self.began = event.time if self.began is None else self.began
            case Resumed():
                self.resumes += 1
                self._drop_after(event.step)
            case StepRecorded():
                if math.isfinite(event.train_loss):
                    self.steps.append((event.step, event.train_loss))
            case EpochDone():
                self.epochs[event.epoch] = event
            case Diagnosed():
                self.answers.take(event)
            case Warned() if len(self.warnings) < _MOST_WARNINGS:
                self.warnings[event.message] = None
            case ModelReady():
                self.model = event
            case DatasetReady():
                self.data = event
            case IngestDone():
                self.ingest = event
            case Finished():
                self.finished = event
            case _:
                pass

    def _drop_after(self, step: int) -> None:
        self.steps = [one for one in self.steps if one[0] <= step]
        self.epochs = {number: one for number, one in self.epochs.items() if one.step <= step}
        self.answers.drop_after(step)
