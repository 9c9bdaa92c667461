"""How often intervals of calibration and net benefit hold the truth, on clustered patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm
from simulated_patients import simulated

from core.evaluation.calibrating.calibration import calibration_figures
from core.evaluation.calibrating.decision_curve import decision_curve
from core.evaluation.confidence import Interval

PREVALENCE, AUROC = 0.05, 0.8
THRESHOLDS = (0.02, 0.05, 0.1, 0.2)
_SHARPNESS = np.sqrt(2) * norm.ppf(AUROC)
_SHARE_POSITIVE = 0.135
"""Of the patients with NIH's numbers of images, at this prevalence."""


@dataclass(frozen=True)
class Network:
    """Probabilities whose logits are the right ones, shifted and divided by ``bend``."""

    bend: float = 1.0
    shift: float = 0.0

    def scores(self, drawn: np.ndarray) -> np.ndarray:
        right = logit(PREVALENCE) + _SHARPNESS * drawn - _SHARPNESS**2 / 2
        return np.asarray(expit((right + self.shift) / self.bend))

    def truth(self) -> dict[str, float]:
        """Each figure over endless patients, by integration."""
        drawn, step = np.linspace(-8, 12, 100_001, retstep=True)
        present = norm.pdf(drawn - _SHARPNESS) * PREVALENCE * step
        absent = norm.pdf(drawn) * (1 - PREVALENCE) * step
        scores, both = self.scores(drawn), present + absent

        def missing(intercept: float) -> float:
            return float((both * expit(logit(scores) + intercept)).sum()) - PREVALENCE

        brier = float((present * (1 - scores) ** 2 + absent * scores**2).sum())
        found = {
            "intercept": float(brentq(missing, -5, 5)),
            "slope": self.bend,
            "observed/expected": PREVALENCE / float((both * scores).sum()),
            "Brier": brier,
            "scaled Brier": 1 - brier / (PREVALENCE * (1 - PREVALENCE)),
        }
        for threshold in THRESHOLDS:
            odds = threshold / (1 - threshold)
            called = scores >= threshold
            benefit = float(present[called].sum() - odds * absent[called].sum())
            every = max(0.0, PREVALENCE - odds * (1 - PREVALENCE))
            found[f"net benefit at {threshold:g}"] = benefit
            found[f"gain at {threshold:g}"] = benefit - every
        return found


def intervals(
    positive_patients: int, repetitions: int, seed: int = 0, network: Network = Network()
) -> Iterator[dict[str, Interval | None]]:
    """Of each sample with so many positive patients on average: every figure's interval; ``above``
    is (1, 1) if the ECE was above its limit, else (0, 0)."""
    rng = np.random.default_rng(seed)
    patients = round(positive_patients / _SHARE_POSITIVE)
    for _ in range(repetitions):
        drawn = simulated(rng, patients, np.array([PREVALENCE]), np.array([AUROC]))
        labels_N, scores_N = drawn.labels_NF[:, 0], network.scores(drawn.scores_NF[:, 0])
        figures = calibration_figures(labels_N, scores_N, drawn.patients_N)
        curve = decision_curve(labels_N, scores_N, drawn.patients_N, THRESHOLDS)
        above = float(figures.error is not None and figures.error.value > figures.error.limit)
        yield {
            "intercept": figures.intercept.interval,
            "slope": figures.slope.interval,
            "observed/expected": figures.observed_expected.interval,
            "Brier": figures.brier.interval,
            "scaled Brier": figures.scaled_brier.interval,
            **{
                f"net benefit at {threshold:g}": one.interval
                for threshold, one in zip(THRESHOLDS, curve.model_T, strict=False)
            },
            **{
                f"gain at {threshold:g}": one.interval
                for threshold, one in zip(THRESHOLDS, curve.gain_T, strict=False)
            },
            "above": (above, above),
        }
