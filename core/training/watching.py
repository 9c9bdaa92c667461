"""Observers of a training run; they may measure, and must change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.data.batches import Batch
from core.evaluation.predictions import Predictions
from core.events import EpochDone
from core.training.step.results import StepResult
from core.training.trainer import Trainer


class Watch(Protocol):
    """Notified of a run's progress; leaves weights, statistics and random state unchanged."""

    def before_step(self, trainer: Trainer) -> None:
        """The run is about to take its first step, or its first after resuming."""

    def after_step(self, trainer: Trainer, batch: Batch, result: StepResult) -> None:
        """A step was taken; its gradients are still available."""

    def after_epoch(self, trainer: Trainer, done: EpochDone, predictions: Predictions) -> None:
        """An epoch was validated."""

    def try_rates(self, trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> None:
        """A learning rate range test was requested."""


class NobodyWatches:
    """No observer."""

    def before_step(self, trainer: Trainer) -> None:
        """Nothing."""

    def after_step(self, trainer: Trainer, batch: Batch, result: StepResult) -> None:
        """Nothing."""

    def after_epoch(self, trainer: Trainer, done: EpochDone, predictions: Predictions) -> None:
        """Nothing."""

    def try_rates(self, trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> None:
        """Nothing."""
