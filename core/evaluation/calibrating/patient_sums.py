"""Estimates with intervals over patients: a ratio of sums, and coefficients of a logistic fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import (
    Interval,
    Spread,
    effective_patients,
    plain_interval,
    share_interval,
    too_few,
)

Floats = NDArray[np.float64]

_LEAST_DEGREES = 4.0
"""With fewer, an interval of a rare share would reach across the scale."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None where undefined."""

    value: float | None = None
    interval: Interval | None = None


UNDEFINED = Estimate()


@dataclass(frozen=True, eq=False)
class Owners:
    """Whose images the K known ones are.

    Attributes:
        codes_K: patients numbered from 0.
        count: number of patients.
        effective: effective number of patients of the rarer class (Kish 1965).
        reason: why no interval can be made from them; None if one can.
    """

    codes_K: NDArray[np.intp]
    count: int
    effective: float
    reason: str | None

    @classmethod
    def of(cls, patients_K: NDArray[np.int64], present_K: NDArray[np.bool_]) -> Owners:
        """From the patients' numbers and the labels of K images."""
        patients_P, codes_K = np.unique(patients_K, return_inverse=True)
        codes_K = codes_K.reshape(-1)
        images = [
            np.bincount(codes_K[chosen_K], minlength=len(patients_P))
            for chosen_K in (present_K, ~present_K)
        ]
        kinds = zip(("positive", "negative"), images, strict=True)
        reason = next((found for kind, of in kinds if (found := too_few(kind, of))), None)
        effective = min(effective_patients(images_P) for images_P in images)
        return cls(codes_K, len(patients_P), effective, reason)

    def sums(self, values_K: Floats) -> Floats:
        """The sum over each patient's images."""
        return np.bincount(self.codes_K, values_K, self.count).astype(np.float64)

    def share_interval(self, value: float, moved_P: Floats) -> Interval | None:
        """The interval of a figure between 0 and 1, on the logit scale.

        ``moved_P`` is what each patient moves it by. If a few move it most, its variance is known
        from as many: (Σ m²)² / Σ m⁴ degrees of freedom (Satterthwaite 1946).
        """
        squares_P = moved_P**2
        variance = float(squares_P.sum())
        if self.reason is not None or not 0 < value < 1 or not variance > 0:
            return None
        degrees = max(_LEAST_DEGREES, variance**2 / float((squares_P**2).sum()))
        return share_interval(value, Spread(math.sqrt(variance), degrees + 1))

    def interval(self, value: float, error: float) -> Interval | None:
        """The interval of an unbounded figure with that standard error."""
        if self.reason is not None or not np.isfinite(error):
            return None
        return plain_interval(value, Spread(error, self.effective))


def left_out(values_K: Floats, owners: Owners) -> Floats:
    """What the mean of values, whose own mean is 0, would lose without each patient."""
    shares_P = owners.sums(np.ones_like(values_K)) / len(values_K)
    moved_P: Floats = owners.sums(values_K) / len(values_K) / np.maximum(1 - shares_P, 1e-9)
    return moved_P


def mean_error(values_K: Floats, owners: Owners) -> float:
    """Standard error of the mean of values whose own mean is 0: a jackknife over patients."""
    return float(np.linalg.norm(left_out(values_K, owners)))


def fit_errors(inputs_KC: Floats, shares_K: Floats, present_K: Floats, owners: Owners) -> Floats:
    """Standard errors of the C coefficients of a logistic fit, over patients.

    A jackknife of one Newton step: what the coefficients would change by if a patient were left
    out, (H − H_p)⁻¹ s_p with the patient's score s_p and information H_p, squared and summed (the
    sandwich with the leverage correction of Bell and McCaffrey 2002, Survey Methodology 28:169,
    that MacKinnon and White 1985 call HC3). C is 1 or 2.
    """
    curve_K = shares_K * (1 - shares_K)
    scores_PC = np.column_stack(
        [owners.sums(column_K * (present_K - shares_K)) for column_K in inputs_KC.T]
    )
    columns = range(inputs_KC.shape[1])
    own_PCC = np.array(
        [
            [owners.sums(curve_K * inputs_KC[:, i] * inputs_KC[:, j]) for j in columns]
            for i in columns
        ]
    ).transpose(2, 0, 1)
    without_PCC = own_PCC.sum(axis=0) - own_PCC
    try:
        moved_PC = np.linalg.solve(without_PCC, scores_PC[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # the rest without one patient has no information
        return np.full(inputs_KC.shape[1], np.nan)
    errors_C: Floats = np.sqrt((moved_PC**2).sum(axis=0))
    return errors_C
