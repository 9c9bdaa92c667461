"""How far a run has come."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.recipe import TrainSettings


@dataclass
class Progress:
    """How far a run has come; saved in checkpoints.

    ``epoch`` counts from 1 and is the current one; ``step_in_epoch`` counts its finished batches;
    ``step`` counts optimiser steps over the whole run.
    """

    epoch: int = 1
    step_in_epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_epoch: int | None = None
    best_score: float | None = None
    best_rule: str = ""
    epochs_without_better: int = 0
    went_back: bool = False
    """Whether the run already went back to a checkpoint because steps were not finite."""
    micro_batch_size: int | None = None
    """The limit set by memory, if lower than the recipe's."""

    def images_at_once(self, settings: TrainSettings) -> int:
        """Most images that go through the network together, by recipe and memory."""
        asked = settings.micro_batch_size or settings.batch_size
        return min(asked, self.micro_batch_size or asked)

    @property
    def mean_train_loss(self) -> float:
        """Mean loss of the epoch's steps so far; NaN before the first."""
        return self.loss_sum / self.loss_steps if self.loss_steps else math.nan
