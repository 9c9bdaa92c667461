"""How sure a test part can make you: the expected width of each finding's AUROC interval.

The standard error of an AUROC from the numbers of independent positive and negative images alone
(Hanley and McNeil 1982, Radiology 143:29), at an assumed AUROC. Images of one patient are alike, so
there are fewer independent ones: n / (1 + (m − 1) ρ), with m the patients' mean number of images
weighted by themselves and ρ the correlation within a patient (Kish 1965, Survey Sampling, section
5.4). It plans; the interval of a result is measured on its scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.audit_report import ExpectedInterval, ExpectedIntervals
from core.findings import ABSENT, PRESENT

ASSUMED_AUROC = 0.8
WITHIN_PATIENTS = 0.25
"""The correlation of a patient's images that is assumed. With NIH's numbers of images a patient it
foretells measured widths within a third, where scores share 0.3 to 0.5 of their variance."""

WANTED = 0.02
"""Half-width that tells a published AUROC from another."""

_NORMAL_QUANTILE = 1.959964


def expected_intervals(
    labels_RF: NDArray[Any], patients_R: NDArray[np.int64], findings: Sequence[str]
) -> ExpectedIntervals:
    """Of R test images and F findings; ``half_width`` is None without a positive or a negative."""
    _, codes_R = np.unique(patients_R, return_inverse=True)
    return {
        "part": "test",
        "assumed_auroc": ASSUMED_AUROC,
        "assumed_correlation_within_patients": WITHIN_PATIENTS,
        "wanted_half_width": WANTED,
        "findings": {
            finding: _expected(labels_RF[:, column], codes_R.reshape(-1))
            for column, finding in enumerate(findings)
        },
    }


def _expected(labels_R: NDArray[Any], codes_R: NDArray[np.intp]) -> ExpectedInterval:
    (positive_patients, positives), (negative_patients, negatives) = (
        _independent(codes_R[labels_R == label]) for label in (PRESENT, ABSENT)
    )
    half, needed = None, None
    if positives and negatives:
        half = _NORMAL_QUANTILE * hanley_mcneil(ASSUMED_AUROC, positives, negatives)
        needed = math.ceil(positive_patients * (half / WANTED) ** 2)
    return {
        "positive_patients": positive_patients,
        "negative_patients": negative_patients,
        "half_width": None if half is None else round(half, 4),
        "positive_patients_needed": needed,
    }


def _independent(codes_K: NDArray[np.intp]) -> tuple[int, float]:
    """Patients of these images, and how many independent images they are worth."""
    if not len(codes_K):
        return 0, 0.0
    images_P = np.bincount(codes_K)
    alike = float(np.square(images_P, dtype=np.float64).sum()) / len(codes_K)
    independent = len(codes_K) / (1 + (alike - 1) * WITHIN_PATIENTS)
    return int(np.count_nonzero(images_P)), independent


def hanley_mcneil(auroc: float, positives: float, negatives: float) -> float:
    """The standard error of an AUROC with so many independent images of each class."""
    of_two_positives = auroc / (2 - auroc)
    of_two_negatives = 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += max(0.0, positives - 1) * (of_two_positives - auroc**2)
    variance += max(0.0, negatives - 1) * (of_two_negatives - auroc**2)
    return math.sqrt(variance / (positives * negatives))
