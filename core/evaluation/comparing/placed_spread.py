"""How much a difference of AUROCs varies over patients, where these have unequally many images.

The largest patients pull the mean towards themselves, so that what they contribute to the variance
comes out too small: a patient with the share w of the images shows 1 − w of it, as far as its
images differ independently. Each contribution is divided by √(1 − w), the clustered variance CR2
of a mean (Bell and McCaffrey 2002, Survey Methodology 28:169); where patients have one image each,
that is DeLong's n / (n − 1). Positive and negative patients are two parts with degrees of freedom
of their own, Kish's effective patients minus one, joined by Satterthwaite's rule, as in Welch's
test. Intervals of a single AUROC (``core.evaluation.placements``) correct for patients whose images
are all alike, which would be too much for a difference: networks also err differently on images of
one patient. ``tests/bench/compare_coverage.py`` measures what holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import Spread, effective_patients
from core.evaluation.placements import PlacedFinding

Floats = NDArray[np.float64]


def difference_spread(placed: PlacedFinding) -> Spread:
    """The spread of a difference of two AUROCs, which must have patients enough for an interval."""
    positive_P, negative_P = _contributions(placed)
    parts = float(positive_P @ positive_P), float(negative_P @ negative_P)
    degrees = [_degrees(images_P) for images_P in placed.images_P2.T]
    variance = sum(parts) + 2 * float(positive_P @ negative_P)
    return Spread(math.sqrt(max(0.0, variance)), _joined(parts, degrees) + 1)


def mean_difference_spread(placed: Sequence[PlacedFinding]) -> Spread:
    """The spread of the mean of such differences over findings of the same patients.

    Satterthwaite's parts are the positive patients of each finding, and the negative ones of all of
    them together, who are mostly the same.
    """
    contributions = [_contributions(one) for one in placed]
    positive_FP = np.array([positive_P for positive_P, _ in contributions]) / len(placed)
    negative_P = np.sum([negative_P for _, negative_P in contributions], axis=0) / len(placed)
    parts = [*np.square(positive_FP).sum(axis=1).tolist(), float(negative_P @ negative_P)]
    degrees = [_degrees(one.images_P2[:, 0]) for one in placed]
    degrees.append(min(_degrees(one.images_P2[:, 1]) for one in placed))
    whole_P = positive_FP.sum(axis=0) + negative_P
    return Spread(math.sqrt(float(whole_P @ whole_P)), _joined(parts, degrees) + 1)


def _degrees(images_P: Floats) -> float:
    return max(1.0, effective_patients(images_P) - 1)


def _joined(parts: Sequence[float], degrees: Sequence[float]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances."""
    below = sum(part**2 / freedom for part, freedom in zip(parts, degrees, strict=True))
    return sum(parts) ** 2 / below if below > 0 else min(degrees)


def _contributions(placed: PlacedFinding) -> tuple[Floats, Floats]:
    """Of each patient's positive and negative images, corrected for its share of them."""
    share_P2 = placed.images_P2 / np.maximum(1, placed.images_P2.sum(axis=0))
    shown_P2 = np.sqrt(np.maximum(1 - share_P2, 1e-12))
    return placed.positive_P / shown_P2[:, 0], placed.negative_P / shown_P2[:, 1]
