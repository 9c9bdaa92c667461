"""Who looks on while a run trains; it may measure, and must change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.data.batches import Batch
from core.evaluation.predictions import Predictions
from core.events import EpochDone
from core.training.step.results import StepResult
from core.training.trainer import Trainer


class Watch(Protocol):
    """Told of what a run does; weights, statistics and random state stay as they are."""

    def before_step(self, trainer: Trainer) -> None:
        """The run is about to take its first step, or its first since it was gone on with."""

    def after_step(self, trainer: Trainer, batch: Batch, result: StepResult) -> None:
        """A step was taken; the gradients are still there."""

    def after_epoch(self, trainer: Trainer, done: EpochDone, predictions: Predictions) -> None:
        """An epoch was validated."""

    def try_rates(self, trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> None:
        """A range test of learning rates was asked for."""


class NobodyWatches:
    """For a run that is not looked at."""

    def before_step(self, trainer: Trainer) -> None:
        """Nothing."""

    def after_step(self, trainer: Trainer, batch: Batch, result: StepResult) -> None:
        """Nothing."""

    def after_epoch(self, trainer: Trainer, done: EpochDone, predictions: Predictions) -> None:
        """Nothing."""

    def try_rates(self, trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> None:
        """Nothing."""
