"""Which epoch is the best, by a recorded rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.recipe import TrainSettings


@dataclass(frozen=True)
class EpochScore:
    """How good an epoch is, higher is better; only comparable under the same ``rule``."""

    score: float
    rule: str
    findings: tuple[str, ...]

    def beats(self, best_score: float | None, best_rule: str) -> bool:
        """Whether this epoch is better than the best so far; the first with a finite score always
        is."""
        if not math.isfinite(self.score):
            return False
        return best_score is None or best_rule != self.rule or self.score > best_score


def score_epoch(
    settings: TrainSettings,
    auroc: Mapping[str, float | None],
    mean_val_loss: float,
    enough_patients: Sequence[str],
) -> EpochScore:
    """Apply the recipe's rule to one epoch.

    ``auroc``: mean val AUROC over the findings with enough positive patients, since a rare
    finding's AUROC jumps with one patient. If no finding has enough, val loss decides.
    """
    defined = {name: auroc[name] for name in enough_patients if auroc.get(name) is not None}
    values = [value for value in defined.values() if value is not None]
    if settings.select_best == "auroc" and values:
        return EpochScore(float(np.mean(values)), "mean val AUROC", tuple(defined))
    return EpochScore(-mean_val_loss, "val loss", ())


def findings_with_enough_patients(
    findings: Sequence[str],
    labels_NF: NDArray[np.float32],
    patients_N: NDArray[np.int64],
    min_positive_patients: int,
) -> tuple[str, ...]:
    """The findings with at least ``min_positive_patients`` positive patients."""
    return tuple(
        finding
        for column, finding in enumerate(findings)
        if len(np.unique(patients_N[labels_NF[:, column] == 1])) >= min_positive_patients
    )
