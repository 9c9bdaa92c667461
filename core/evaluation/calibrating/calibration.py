"""Are the probabilities right? One finding's calibration, with intervals over patients.

Intercept and slope are those of a logistic regression of labels on logits (Cox 1958, Biometrika
45:562; Van Calster et al. 2019, BMC Medicine 17:230). The intercept is fitted with the slope fixed
at 1: calibration in the large. 0 and 1 are perfect. A slope below 1 means scores that are too
extreme, an intercept below 0 scores that are too high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.calibration_error import CalibrationError, calibration_error
from core.evaluation.calibrating.corp import BrierParts, brier_parts, pooled
from core.evaluation.calibrating.logistic import expit, fitted, logits_of
from core.evaluation.calibrating.patient_sums import (
    UNDEFINED,
    Estimate,
    Owners,
    fit_errors,
    left_out,
    mean_error,
)
from core.findings import PRESENT

Floats = NDArray[np.float64]

NO_PROBABILITIES = "these scores are not all between 0 and 1, so they are no probabilities"


@dataclass(frozen=True)
class CalibrationFigures:
    """A finding's calibration; figures without a value are undefined, and ``notes`` say why.

    Attributes:
        intercept: of the logits, with slope 1; the log of the odds' factor that is missing.
        slope: of the logits, with its own intercept.
        observed_expected: positive images over the sum of the scores.
        brier, scaled_brier: mean squared error; 1 − that over the prevalence's own.
        parts: of the Brier score; None if there is none.
        error: expected calibration error; None if there is none.
    """

    positives: int
    images: int
    intercept: Estimate = UNDEFINED
    slope: Estimate = UNDEFINED
    observed_expected: Estimate = UNDEFINED
    brier: Estimate = UNDEFINED
    scaled_brier: Estimate = UNDEFINED
    parts: BrierParts | None = None
    error: CalibrationError | None = None
    notes: tuple[str, ...] = ()


def calibration_figures(
    labels_N: NDArray[Any], scores_N: NDArray[Any], patients_N: NDArray[np.int64]
) -> CalibrationFigures:
    """Of one finding on N images; unknown labels are left out.

    Args:
        labels_N: 1, 0 or NaN.
        scores_N: finite; figures are undefined if one lies outside 0 … 1.
        patients_N: patient numbers; intervals count patients.
    """
    known_N = ~np.isnan(labels_N)
    present_K = np.asarray(labels_N[known_N] == PRESENT)
    scores_K = scores_N[known_N].astype(np.float64)
    counts = int(present_K.sum()), len(present_K)
    if not len(present_K):
        return CalibrationFigures(*counts, notes=("no label is known",))
    if scores_K.min() < 0 or scores_K.max() > 1:
        return CalibrationFigures(*counts, notes=(NO_PROBABILITIES,))
    owners = Owners.of(patients_N[known_N], present_K)
    blocks = pooled(scores_K, present_K.astype(np.float64))
    brier, scaled = _brier(scores_K, present_K, owners)
    notes = [owners.reason] if owners.reason and 0 < counts[0] < counts[1] else []
    intercept, slope, why_not = _fits(scores_K, present_K, owners)
    return CalibrationFigures(
        *counts,
        intercept=intercept,
        slope=slope,
        observed_expected=_observed_expected(scores_K, present_K, owners),
        brier=brier,
        scaled_brier=scaled,
        parts=brier_parts(scores_K, present_K, blocks),
        error=calibration_error(scores_K, present_K, owners, blocks),
        notes=(*why_not, *notes),
    )


def _fits(
    scores_K: Floats, present_K: NDArray[np.bool_], owners: Owners
) -> tuple[Estimate, Estimate, list[str]]:
    """Intercept, slope, and why one of them is undefined."""
    if not present_K.any() or present_K.all():
        missing = "negative" if present_K.any() else "positive"
        return Estimate(), Estimate(), [f"no {missing} image, so nothing can be fitted"]
    inside_K, notes = _inside(scores_K)
    logits_K, labels_K = logits_of(inside_K), present_K.astype(np.float64)
    ones_K1 = np.ones((len(logits_K), 1))
    _, (shift,) = fitted(ones_K1, logits_K, present_K)
    (error,) = fit_errors(ones_K1, expit(logits_K + shift), labels_K, owners)
    intercept = Estimate(float(shift), owners.interval(float(shift), float(error)))
    if (why_not := _no_slope(logits_K, present_K)) is not None:
        return intercept, Estimate(), [*notes, why_not]
    both_K2 = np.column_stack([np.ones_like(logits_K), logits_K])
    _, found_2 = fitted(both_K2, np.zeros_like(logits_K), present_K)
    errors_2 = fit_errors(both_K2, expit(both_K2 @ found_2), labels_K, owners)
    value = float(found_2[1])
    return intercept, Estimate(value, owners.interval(value, float(errors_2[1]))), notes


def _inside(scores_K: Floats) -> tuple[Floats, list[str]]:
    """Scores without 0 and 1, which have no logit: half as far from them as the nearest other."""
    at_an_end_K = (scores_K == 0) | (scores_K == 1)
    if not at_an_end_K.any():
        return scores_K, []
    others = scores_K[~at_an_end_K]
    low, high = (others.min() / 2, (1 + others.max()) / 2) if len(others) else (0.001, 0.999)
    inside_K = np.where(scores_K == 0, low, np.where(scores_K == 1, min(high, 1 - 1e-15), scores_K))
    many = int(at_an_end_K.sum())
    said = f"{many:,} score{'s are' if many > 1 else ' is'} exactly 0 or 1"
    return inside_K, [f"{said}: intercept and slope take them as just inside"]


def _no_slope(logits_K: Floats, present_K: NDArray[np.bool_]) -> str | None:
    """Why no slope can be fitted; None if it can."""
    if np.ptp(logits_K) == 0:
        return "all scores are equal, so there is no slope"
    positive, negative = logits_K[present_K], logits_K[~present_K]
    if positive.min() >= negative.max() or negative.min() >= positive.max():
        return "the scores separate the two classes, so no finite slope fits best"
    return None


def _observed_expected(scores_K: Floats, present_K: NDArray[np.bool_], owners: Owners) -> Estimate:
    """Their ratio, with an interval on the logarithmic scale."""
    observed, expected = float(present_K.sum()), float(scores_K.sum())
    if not observed or not expected:
        return Estimate(0.0 if expected else None)
    moved_K = len(scores_K) * (present_K / observed - scores_K / expected)
    log_ends = owners.interval(math.log(observed / expected), mean_error(moved_K, owners))
    ends = None if log_ends is None else (math.exp(log_ends[0]), math.exp(log_ends[1]))
    return Estimate(observed / expected, ends)


def _brier(
    scores_K: Floats, present_K: NDArray[np.bool_], owners: Owners
) -> tuple[Estimate, Estimate]:
    """The Brier score, and scaled; by the delta method."""
    squares_K = (scores_K - present_K) ** 2
    brier, share = float(squares_K.mean()), float(present_K.mean())
    whole = Estimate(brier, owners.share_interval(brier, left_out(squares_K - brier, owners)))
    uncertainty = share * (1 - share)
    if not uncertainty:
        return whole, Estimate()
    of_share_K = (1 - 2 * share) * (present_K - share) * brier / uncertainty
    moved_K = (squares_K - brier - of_share_K) / uncertainty
    scaled = 1 - brier / uncertainty
    return whole, Estimate(scaled, owners.interval(scaled, mean_error(moved_K, owners)))
