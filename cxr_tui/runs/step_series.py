"""The recorded steps of a run, as many as charts can show."""

from __future__ import annotations

from dataclasses import dataclass, field

from core import events

MAX_POINTS = 4096
"""Steps stored for charts; more are merged in pairs, so that a week's run stays small."""


@dataclass
class StepSeries:
    """Recorded steps, thinned: step number, mean train loss, learning rate."""

    step: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)

    def add(self, event: events.StepRecorded) -> None:
        """Add the step; if there are too many, merge neighbours."""
        self.step.append(event.step)
        self.train_loss.append(event.train_loss)
        self.learning_rate.append(event.learning_rate)
        if len(self.step) >= MAX_POINTS:
            self._thin()

    def drop_after(self, step: int) -> None:
        """Drop steps that a resumed run discarded."""
        while self.step and self.step[-1] > step:
            self.step.pop()
            self.train_loss.pop()
            self.learning_rate.pop()

    def _thin(self) -> None:
        self.train_loss = [
            _mean(self.train_loss[i : i + 2]) for i in range(0, len(self.train_loss), 2)
        ]
        self.step = self.step[1::2] + self.step[-1:] * (len(self.step) % 2)
        rates = self.learning_rate
        self.learning_rate = rates[1::2] + rates[-1:] * (len(rates) % 2)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
