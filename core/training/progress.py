"""How far a run is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run is; what a checkpoint keeps besides weights.

    ``epoch`` counts from 1 and is the one under way; ``step_in_epoch`` counts the batches of
    it that are done; ``step`` counts optimiser steps over the whole run.
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
    """Whether the run went back to a checkpoint once, since steps were not finite."""
    micro_batch_size: int | None = None
    """What memory allows, where it is less than the recipe asks for."""

    @property
    def mean_train_loss(self) -> float:
        """Mean loss of the epoch's steps so far; NaN before the first."""
        return self.loss_sum / self.loss_steps if self.loss_steps else math.nan
