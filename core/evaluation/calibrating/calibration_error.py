"""The expected calibration error, beside what chance alone makes of it.

An expected calibration error is never 0 on a finite sample: the share of positive images in a bin
differs from the mean score by chance. So it is read next to the error that a perfectly calibrated
model would show on these scores and patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.corp import Blocks, pooled
from core.evaluation.calibrating.patient_sums import Owners

Floats = NDArray[np.float64]

BINS = 10
_ABOVE = 1.6449  # of a normal distribution, 95 % lie below


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error, and its mean and upper limit for a calibrated model.

    The limit is a normal one for independent bins; bins share patients, so one calibrated model in
    ten exceeds it instead of one in twenty (``tests/bench/calibration_coverage.py``).
    """

    value: float
    expected: float
    limit: float


def calibration_error(
    scores_K: Floats,
    present_K: NDArray[np.bool_],
    owners: Owners,
    blocks: Blocks | None = None,
) -> CalibrationError:
    """Σ |positives − summed scores| / images over ``BINS`` bins of equal size, by rank.

    Equal scores stay in one bin. For a calibrated model the difference in a bin is normal around 0
    with variance Σ p (1 − p), times the design effect: within a patient and bin labels are alike.
    That is measured on the labels around their shares in ``blocks``, which are pooled if not given.
    """
    labels_K = present_K.astype(np.float64)
    edges = np.quantile(scores_K, np.arange(1, BINS) / BINS)
    bin_K = np.searchsorted(edges, scores_K, side="right")
    off_B = np.bincount(bin_K, weights=labels_K - scores_K, minlength=BINS)
    variance_B = np.bincount(bin_K, weights=scores_K * (1 - scores_K), minlength=BINS)
    blocks = blocks or pooled(scores_K, labels_K)
    around_K = labels_K - blocks.shares[blocks.block_K]
    spread_B = np.sqrt(variance_B * _design_effect(around_K, bin_K, owners))
    images = len(scores_K)
    # Of |z| for a standard normal z: mean √(2/π), variance 1 − 2/π.
    expected = float(spread_B.sum()) * math.sqrt(2 / math.pi) / images
    around = math.sqrt(float((spread_B**2).sum()) * (1 - 2 / math.pi)) / images
    return CalibrationError(
        float(np.abs(off_B).sum()) / images, expected, expected + _ABOVE * around
    )


def _design_effect(around_K: Floats, bin_K: NDArray[np.intp], owners: Owners) -> float:
    """How much more a bin's sum varies than with every image of another patient; at least 1."""
    _, cell_K = np.unique(bin_K * owners.count + owners.codes_K, return_inverse=True)
    sums_M = np.bincount(cell_K.reshape(-1), weights=around_K)
    alone = float((around_K**2).sum())
    return max(1.0, float((sums_M**2).sum()) / alone) if alone > 0 else 1.0
