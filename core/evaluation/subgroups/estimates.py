"""Figures of some of a part's images, each with what every patient contributes to it.

A gap between a group and the rest needs more than the two intervals: a patient whose images lie in
both (in two views, or in two ages) makes the two figures rise and fall together. So each figure
keeps its linearised contribution of each patient (Obuchowski 1997 for AUROC, see
``core.evaluation.placements``; Cochran 1977 for shares; one Newton step for the intercept).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import (
    Interval,
    Spread,
    effective_patients,
    plain_interval,
    share_interval,
    spread_at_an_end,
    too_few,
    unequal_patients,
)
from core.evaluation.placements import PlacedFinding
from core.findings import PRESENT

Floats = NDArray[np.float64]

AUROC, SENSITIVITY, FALSE_POSITIVE_RATE, CALIBRATION = FIGURES = (
    "auroc",
    "sensitivity",
    "false_positive_rate",
    "calibration_in_the_large",
)
_LEAST_PROBABILITY = 1e-7  # scores are float32: nearer to 1 there is none
_STEPS, _CONVERGED = 50, 1e-6  # steps of Newton: the next would be its square


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and how much of it depends on each of P patients.

    Attributes:
        is_share: whether it lies between 0 and 1 and its interval is made on the logit scale.
        left_P: each patient's linearised contribution to the error; sums to 0.
    """

    value: float
    spread: Spread
    left_P: Floats
    is_share: bool

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval; None if nothing varies."""
        if self.is_share:
            return share_interval(self.value, self.spread)
        return plain_interval(self.value, self.spread)


class RankedImages:
    """One finding's K images with a known label, ranked once for figures of many groups.

    Attributes:
        rows_K: their rows among the part's N images.
        present_K: their labels.
    """

    def __init__(
        self,
        labels_N: NDArray[Any],
        scores_N: NDArray[Any],
        codes_N: NDArray[np.intp],
        num_patients: int,
        threshold: float | None,
    ) -> None:
        known = np.flatnonzero(~np.isnan(labels_N))
        self.rows_K = known[np.argsort(scores_N[known].astype(np.float64), kind="stable")]
        self.scores_K = scores_N[self.rows_K].astype(np.float64)
        self.present_K = np.asarray(labels_N[self.rows_K] == PRESENT)
        self.codes_K, self.num_patients = codes_N[self.rows_K], num_patients
        self.called_K = None if threshold is None else self.scores_K >= threshold
        self._below_K = np.searchsorted(self.scores_K, self.scores_K, side="left")
        self._reached_K = np.searchsorted(self.scores_K, self.scores_K, side="right")
        are_probabilities = bool(len(known) and self.scores_K[0] >= 0 and self.scores_K[-1] <= 1)
        inside_K = np.clip(self.scores_K, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
        self._odds_K = inside_K / (1 - inside_K) if are_probabilities else None

    def patients_with(self, weights_K: Floats, *, positive: bool) -> int:
        """Patients with a positive, or a negative, image of positive weight."""
        chosen_K = (self.present_K == positive) & (weights_K > 0)
        return int(np.count_nonzero(np.bincount(self.codes_K[chosen_K])))

    def figures(self, weights_K: Floats) -> dict[str, Estimate | None]:
        """Every figure of the images, weighted; None where undefined or of too few patients.

        Both classes must be there.
        """
        positive_K = np.where(self.present_K, weights_K, 0.0)
        negative_K = np.where(self.present_K, 0.0, weights_K)
        found: dict[str, Estimate | None] = {AUROC: self._auroc(positive_K, negative_K)}
        found[SENSITIVITY] = self._called(positive_K)
        found[FALSE_POSITIVE_RATE] = self._called(negative_K)
        found[CALIBRATION] = self._intercept(positive_K, negative_K)
        return found

    def _auroc(self, positive_K: Floats, negative_K: Floats) -> Estimate | None:
        won_K, lost_K = self._share_below(negative_K), 1 - self._share_below(positive_K)
        value = float((positive_K * won_K).sum() / positive_K.sum())  # @ starts threads, to wait
        images_P2 = np.column_stack([self._of_patients(of_K) for of_K in (positive_K, negative_K)])
        positive_P = self._of_patients(positive_K * (won_K - value)) / positive_K.sum()
        negative_P = self._of_patients(negative_K * (lost_K - value)) / negative_K.sum()
        there_P = images_P2.any(axis=1)  # the others are no patients of these images
        placed = PlacedFinding(value, positive_P[there_P], negative_P[there_P], images_P2[there_P])
        if placed.why_no_interval:
            return None
        spread = placed.spread
        if value in (0.0, 1.0):
            spread = spread_at_an_end(spread.effective)
        return Estimate(value, spread, positive_P + negative_P, is_share=True)

    def _called(self, weights_K: Floats) -> Estimate | None:
        if self.called_K is None:
            return None
        return share_of(self._of_patients(weights_K * self.called_K), self._of_patients(weights_K))

    def _intercept(self, positive_K: Floats, negative_K: Floats) -> Estimate | None:
        """Calibration in the large: the intercept on the logits that makes observed = expected."""
        if self._odds_K is None:
            return None
        weights_K, positives, shift = positive_K + negative_K, float(positive_K.sum()), 0.0
        there_K = weights_K > 0
        odds_J, weights_J = self._odds_K[there_K], weights_K[there_K]
        for _ in range(_STEPS):
            shifted_J = odds_J * math.exp(shift)
            share_J = shifted_J / (1 + shifted_J)
            curve = float((weights_J * share_J * (1 - share_J)).sum())
            step = (positives - float((weights_J * share_J).sum())) / max(curve, 1e-12)
            shift += max(-2.0, min(2.0, step))
            if abs(step) < _CONVERGED:
                break
        left_J = weights_J * (self.present_K[there_K] - share_J)
        codes_J = self.codes_K[there_K]
        sums_P = np.bincount(codes_J, weights=left_J, minlength=self.num_patients)
        curve_P = np.bincount(
            codes_J, weights=weights_J * share_J * (1 - share_J), minlength=self.num_patients
        )
        left_P = sums_P / np.maximum(curve - curve_P, 1e-12)
        images = [self._of_patients(of_K) for of_K in (positive_K, negative_K)]
        if any(too_few("counted", images_P) for images_P in images):
            return None
        effective = min(effective_patients(images_P) for images_P in images)
        spread = Spread(float(np.linalg.norm(left_P)), effective)
        return Estimate(shift, spread, left_P, is_share=False)

    def _share_below(self, weights_K: Floats) -> Floats:
        """The weighted share of images that each one outranks; ties count one half."""
        summed = np.concatenate([[0.0], np.cumsum(weights_K)])
        share_K: Floats = (summed[self._below_K] + summed[self._reached_K]) / (2 * summed[-1])
        return share_K

    def _of_patients(self, values_K: Floats) -> Floats:
        sums_P = np.bincount(self.codes_K, weights=values_K, minlength=self.num_patients)
        return sums_P.astype(np.float64, copy=False)


def share_of(part_P: Floats, whole_P: Floats) -> Estimate | None:
    """A share of images, from sums over each patient's; None if too few patients have any.

    As ``core.evaluation.intervals.ratio_intervals``.
    """
    if too_few("counted", whole_P):
        return None
    share = float(part_P.sum() / whole_P.sum())
    left_P = (part_P - share * whole_P) / whole_P.sum()
    effective = effective_patients(whole_P)
    error = math.sqrt(unequal_patients(whole_P) * float(left_P @ left_P))
    spread = spread_at_an_end(effective) if share in (0.0, 1.0) else Spread(error, effective)
    return Estimate(share, spread, left_P, is_share=True)
