"""Time left of a run, from its events: steps, validations, the test part."""

from __future__ import annotations

from dataclasses import dataclass, field

from core import events
from core.events import Event

_FORWARD_SHARE = 1 / 3
"""Scoring an image costs about a third of training on it; used until a validation was timed."""


@dataclass
class RunClock:
    """Seconds per step and per validation, measured since training last started."""

    latest: float = 0.0
    train_seconds: float = 0.0
    train_steps: int = 0
    validations: list[float] = field(default_factory=list)
    training_is_over: bool = False
    _passed_before: float = 0.0
    _begun: float | None = None
    _mark: tuple[float, int] | None = None
    _has_warmed_up: bool = False
    _last_step: float | None = None
    _scoring: tuple[str, float, int, int] | None = None
    _validated: float | None = None

    @property
    def passed(self) -> float | None:
        """Seconds that the run was active, over all its starts; None before the first."""
        if self._begun is None:
            return None
        return self._passed_before + self.latest - self._begun

    def take(self, event: Event) -> None:
        """Process one event, before anything else does."""
        match event:
            case events.RunStarted():
                self._start(event.time)
            case events.Resumed():
                self.train_seconds, self.train_steps = 0.0, 0
            case events.EpochStarted():
                self._mark = self._mark_at_epoch(event)
            case events.StepRecorded():
                self._step(event)
            case events.Continued():
                self._mark = (event.time, event.step)
            case events.ValidationProgress():
                self._score(event.part, event.time, event.done, event.total)
            case events.EpochDone():
                if self._last_step is not None:
                    self.validations = [*self.validations[-2:], event.time - self._last_step]
                self._mark, self._scoring, self._validated = None, None, event.time
            case events.TestStarted():
                self.training_is_over = True
                self._scoring = ("test", event.time, 0, event.images)
        self.latest = max(self.latest, event.time)

    def seconds_left(
        self, steps: int, validations: int, images: dict[str, int], steps_per_epoch: int
    ) -> tuple[float, bool] | None:
        """Time left, and whether validation is only estimated; None before the first steps.

        Args:
            steps: training steps left.
            validations: validations left, including a current one.
            images: of each part.
            steps_per_epoch: with ``images`` it gives the images per step.
        """
        if self.training_is_over:
            left = self._scoring_left()
            return None if left is None else (left, False)
        if self.train_steps < 2 or self.train_seconds <= 0:
            return None
        step_seconds = self.train_seconds / self.train_steps
        a_val, is_guess = self._validation_seconds(step_seconds, images, steps_per_epoch)
        under_way = self._scoring_left()
        total = steps * step_seconds + validations * a_val
        if under_way is not None:
            total += under_way - (a_val if validations else 0)
        if images.get("val"):
            total += a_val * images.get("test", 0) / images["val"]
        return max(0.0, total), is_guess

    def _validation_seconds(
        self, step_seconds: float, images: dict[str, int], steps_per_epoch: int
    ) -> tuple[float, bool]:
        if self.validations:
            return sum(self.validations) / len(self.validations), False
        if self._scoring is not None and self._scoring[2] > 0:
            _, since, done, total = self._scoring
            return (self.latest - since) * total / done, False
        if not images.get("train"):
            return 0.0, True
        an_image = step_seconds * steps_per_epoch / images["train"]
        return an_image * _FORWARD_SHARE * images.get("val", 0), True

    def _scoring_left(self) -> float | None:
        """Of the part being scored; None if there is none, or nothing of it is done."""
        if self._scoring is None or self._scoring[2] == 0:
            return None
        _, since, done, total = self._scoring
        return (self.latest - since) * (total - done) / done

    def _start(self, time: float) -> None:
        self._passed_before = self.passed or 0.0
        self._begun = self.latest = time
        self._mark = self._last_step = self._scoring = self._validated = None
        self._has_warmed_up = self.training_is_over = False
        # Another start may be on another machine with another throughput.
        self.train_seconds, self.train_steps, self.validations = 0.0, 0, []

    def _mark_at_epoch(self, event: events.EpochStarted) -> tuple[float, int] | None:
        """Steps are timed from here, except in the first epoch, whose first step sets things up."""
        last_step = (event.epoch - 1) * event.steps
        return (event.time, last_step) if self._has_warmed_up else None

    def _step(self, event: events.StepRecorded) -> None:
        if self._mark is not None and event.step > self._mark[1]:
            self.train_seconds += event.time - self._mark[0]
            self.train_steps += event.step - self._mark[1]
        self._mark, self._last_step = (event.time, event.step), event.time
        self._has_warmed_up, self._scoring, self._validated = True, None, None

    def _score(self, part: str, time: float, done: int, total: int) -> None:
        if self._scoring is not None and self._scoring[0] == part:
            since = self._scoring[1]
        else:
            # Since the last epoch's end, if val is scored again, or its last step.
            known = (self._validated, self._last_step, time)
            since = next(moment for moment in known if moment is not None)
        self._scoring = (part, since, done, total)
