"""AUROC's variance without resampling, and the gain of one set of scores over another.

An AUROC is a mean over pairs of a positive and a negative image. The placement of a positive image
is the share of negatives that it outranks, and that of a negative image the share of positives that
outrank it. Summed over each patient's images, placements show how much of the AUROC depends on each
patient (Obuchowski 1997, Biometrics 53:567: DeLong's variance for clustered data). Two sets of
scores of the same images differ by the difference of their placements, in which easy and hard
patients cancel out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import (
    Interval,
    Spread,
    degrees_of_a_mean,
    effective_patients,
    patient_codes,
    plain_interval,
    share_interval,
    spread_at_an_end,
    too_few,
    unequal_patients,
)
from core.findings import PRESENT

Floats = NDArray[np.float64]


def average_ranks(values: NDArray[Any]) -> Floats:
    """Ranks from 1, ties sharing their mean rank; of two axes, each column by itself.

    As scipy.stats.rankdata, whose import takes half a second in every process.
    """
    if values.ndim == 2:
        return np.stack([average_ranks(column) for column in values.T], axis=1)
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[code]
    return ranks


@dataclass(frozen=True)
class PlacedFinding:
    """One finding's AUROC (or a difference of two) and how much of it depends on each of P
    patients.

    Attributes:
        value: the AUROC, 0 … 1, or the difference, -1 … 1.
        positive_P, negative_P: Σ(placement − value) over the patient's positive and negative
            images, divided by the number of all such images; each sums to 0.
        images_P2: positive and negative images per patient.
    """

    value: float
    positive_P: Floats
    negative_P: Floats
    images_P2: Floats

    @property
    def spread(self) -> Spread:
        """Its standard error and the effective patients of the rarer class.

        Obuchowski's factors assume patients with equally many images; these don't.
        """
        effective = min(effective_patients(images_P) for images_P in self.images_P2.T)
        too_small = max(_beyond_equal(images_P) for images_P in self.images_P2.T)
        return Spread(float(np.sqrt(max(0.0, too_small * self.variance))), effective)

    @property
    def variance(self) -> float:
        """Obuchowski's equation 3, with her factors for few patients."""
        return _variance(self._scaled(0), self._scaled(1), self.positive_P, self.negative_P)

    @property
    def why_no_interval(self) -> str | None:
        """Why there are too few patients for an interval, or None."""
        return too_few("positive", self.images_P2[:, 0]) or too_few(
            "negative", self.images_P2[:, 1]
        )

    def minus(self, other: PlacedFinding) -> PlacedFinding:
        """The difference from the AUROC of other scores of the same images and labels."""
        return PlacedFinding(
            self.value - other.value,
            self.positive_P - other.positive_P,
            self.negative_P - other.negative_P,
            self.images_P2,
        )

    @staticmethod
    def mean_of(placed: Sequence[PlacedFinding]) -> PlacedFinding:
        """The mean AUROC of several sets of scores of the same images and labels."""
        return PlacedFinding(
            float(np.mean([one.value for one in placed])),
            np.mean([one.positive_P for one in placed], axis=0),
            np.mean([one.negative_P for one in placed], axis=0),
            placed[0].images_P2,
        )

    def _scaled(self, kind: int) -> Floats:
        patients = int((self.images_P2[:, kind] > 0).sum())
        parts_P = (self.positive_P, self.negative_P)[kind]
        scaled_P: Floats = parts_P * np.sqrt(patients / max(1, patients - 1))
        return scaled_P


def place(
    labels_N: NDArray[Any], scores_N: NDArray[Any], codes_N: NDArray[np.intp], num_patients: int
) -> PlacedFinding | None:
    """One finding's placements; None if its known images lack a class.

    Args:
        labels_N: 1, 0 or NaN (unknown: left out).
        scores_N: finite scores.
        codes_N, num_patients: see ``patient_codes``.
    """
    known_N = ~np.isnan(labels_N)
    present_K = labels_N[known_N] == PRESENT
    if not present_K.any() or present_K.all():
        return None
    scores_K, codes_K = scores_N[known_N].astype(np.float64), codes_N[known_N]
    positives, negatives = np.sort(scores_K[present_K]), np.sort(scores_K[~present_K])
    won_by_positive = _share_below(negatives, scores_K[present_K])
    won_of_negative = 1 - _share_below(positives, scores_K[~present_K])
    value = float(won_by_positive.mean())

    def of_patients(placements: Floats, codes: NDArray[np.intp]) -> Floats:
        parts = np.bincount(codes, weights=placements - value, minlength=num_patients)
        scaled: Floats = parts / len(placements)
        return scaled

    counts = [
        np.bincount(codes, minlength=num_patients)
        for codes in (codes_K[present_K], codes_K[~present_K])
    ]
    return PlacedFinding(
        value,
        of_patients(won_by_positive, codes_K[present_K]),
        of_patients(won_of_negative, codes_K[~present_K]),
        np.column_stack(counts).astype(np.float64),
    )


def place_findings(
    labels_NF: NDArray[Any], scores_NF: NDArray[Any], patients_N: NDArray[Any]
) -> list[PlacedFinding | None]:
    """``place`` for each of F findings, over the same patients."""
    codes_N, num_patients = patient_codes(patients_N)
    return [
        place(labels_NF[:, column], scores_NF[:, column], codes_N, num_patients)
        for column in range(labels_NF.shape[1])
    ]


def auroc_interval(placed: PlacedFinding | None) -> Interval | None:
    """An AUROC's interval from its placements; None without an AUROC or with too few patients."""
    if placed is None or placed.why_no_interval:
        return None
    return share_interval(placed.value, placed.spread)


def mean_interval(placed: Sequence[PlacedFinding]) -> Interval | None:
    """The interval of the mean AUROC; None if a member has too few patients, or nothing varies."""
    if not placed or any(one.why_no_interval for one in placed):
        return None
    return share_interval(_mean(placed), _spread_of_mean(placed))


@dataclass(frozen=True)
class Gain:
    """The gain in AUROC, and its interval (None: too few patients, or no difference).

    Attributes:
        value: None if either has no AUROC.
    """

    value: float | None
    interval: Interval | None


def gains(
    labels_NF: NDArray[Any],
    before_NF: NDArray[Any],
    after_NF: NDArray[Any],
    patients_N: NDArray[Any],
) -> tuple[list[Gain], Gain]:
    """The gain in each finding's AUROC by the later scores, and their mean.

    Both are scores of the same images. The mean is over the findings that have an interval.
    """
    differences = [
        None if before is None or after is None else after.minus(before)
        for before, after in zip(
            place_findings(labels_NF, before_NF, patients_N),
            place_findings(labels_NF, after_NF, patients_N),
            strict=True,
        )
    ]
    each = [
        Gain(None, None) if one is None else Gain(one.value, _gain_interval(one))
        for one in differences
    ]
    bounded = [
        one
        for one, gain in zip(differences, each, strict=True)
        if one is not None and gain.interval is not None
    ]
    if not bounded:
        return each, Gain(None, None)
    mean = _mean(bounded)
    return each, Gain(mean, plain_interval(mean, _spread_of_mean(bounded)))


def samples_interval(
    first: Sequence[PlacedFinding], second: Sequence[PlacedFinding]
) -> Interval | None:
    """The interval of the first mean AUROC minus the second, where the samples share no patient.

    The variances add up, and so do their degrees of freedom by Satterthwaite's rule; a single
    finding is its own mean. None if a member has too few patients, or nothing varies.
    """
    if not first or not second or any(one.why_no_interval for one in (*first, *second)):
        return None
    spreads = [_spread_at_any_end(placed) for placed in (first, second)]
    error = math.hypot(*(spread.error for spread in spreads))
    if not error > 0:
        return None
    effective = degrees_of_a_mean(spreads) + 1
    return plain_interval(_mean(first) - _mean(second), Spread(error, effective))


def _spread_at_any_end(placed: Sequence[PlacedFinding]) -> Spread:
    """The spread of the mean; at 0 or 1 placements don't vary, though patients would."""
    spread = _spread_of_mean(placed) if len(placed) > 1 else placed[0].spread
    if _mean(placed) in (0.0, 1.0):
        return spread_at_an_end(min(one.spread.effective for one in placed))
    return spread


def _gain_interval(difference: PlacedFinding) -> Interval | None:
    if difference.why_no_interval:
        return None
    return plain_interval(difference.value, difference.spread)


def _mean(placed: Sequence[PlacedFinding]) -> float:
    return float(np.mean([one.value for one in placed]))


def _spread_of_mean(placed: Sequence[PlacedFinding]) -> Spread:
    """Spread of the mean over findings of the same patients, including their correlation."""
    scaled_positive_P, scaled_negative_P, positive_P, negative_P = (
        np.sum(parts, axis=0) / len(placed)
        for parts in zip(
            *((one._scaled(0), one._scaled(1), one.positive_P, one.negative_P) for one in placed),
            strict=True,
        )
    )
    variance = _variance(scaled_positive_P, scaled_negative_P, positive_P, negative_P)
    spreads = [one.spread for one in placed]
    unseen = sum(
        spread.error**2 - one.variance for spread, one in zip(spreads, placed, strict=True)
    )
    whole = max(0.0, variance) + max(0.0, unseen) / len(placed) ** 2
    return Spread(float(np.sqrt(whole)), degrees_of_a_mean(spreads) + 1)


def _variance(
    scaled_positive_P: Floats, scaled_negative_P: Floats, positive_P: Floats, negative_P: Floats
) -> float:
    patients = len(positive_P)
    both = float(positive_P @ negative_P) * patients / max(1, patients - 1)
    return float(
        scaled_positive_P @ scaled_positive_P + scaled_negative_P @ scaled_negative_P + 2 * both
    )


def _beyond_equal(images_P: Floats) -> float:
    patients = int((images_P > 0).sum())
    return unequal_patients(images_P) * (patients - 1) / patients if patients > 1 else 1.0


def _share_below(sorted_M: Floats, scores_K: Floats) -> Floats:
    """Share of M that each score outranks; ties count one half."""
    below_K = np.searchsorted(sorted_M, scores_K, side="left")
    reached_K = np.searchsorted(sorted_M, scores_K, side="right")
    share_K: Floats = (below_K + reached_K) / (2 * len(sorted_M))
    return share_K
