"""The ends of an interval, from a value, its standard error and the number of patients behind it.

NIH has many similar images of one patient, so no interval here counts images. If patients have
different numbers of images, some of them carry more than their share: Kish's formula gives the
number of equal patients that they are worth (Kish 1965, Survey Sampling, section 8.2), and
Student's t with that number minus one degrees of freedom accounts for a standard error that was
itself estimated from few patients. That error is measured around a mean which the largest patients
pull towards themselves, so it comes out too small; ``unequal_patients`` corrects for this.

An area or a share lies between 0 and 1, and near either end its distribution is skewed. So the
interval is computed on the logit scale, where the standard error is that of the value over value ×
(1 − value) (delta method; Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2), and
transformed back. At 0 or 1 itself no variation can be measured; there the exact interval of a share
that was never missed applies, 0.025^(1 / patients) (Clopper and Pearson 1934).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
Interval = tuple[float, float]

LEAST_PATIENTS = 3
LEAST_EFFECTIVE = 2.0
"""With fewer patients of a class, the variation of a figure can't be estimated."""

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Spread:
    """The variation of a figure, and the number of patients behind it.

    Attributes:
        error: standard error over patients.
        effective: effective number of patients of the rarer class.
    """

    error: float
    effective: float


def patient_codes(patients_N: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Patients numbered 0 … P-1 in ascending order, and P."""
    patients_P, codes_N = np.unique(patients_N, return_inverse=True)
    return codes_N.reshape(-1), len(patients_P)


def effective_patients(images_P: NDArray[Any]) -> float:
    """Kish's effective number of patients, (Σm)² / Σm², for m images per patient; 0 for none.

    Thirty patients with one image each are worth thirty; one with 71 images and nine with one each
    are worth 1.3.
    """
    squares = float(np.square(images_P, dtype=np.float64).sum())
    return float(images_P.sum()) ** 2 / squares if squares else 0.0


def unequal_patients(images_P: NDArray[Any]) -> float:
    """The factor, 1 or more, by which a variance over patients comes out too small.

    A mean of independent patients with shares w of the images shows 1 − 2 Σw³ / Σw² + Σw² of their
    true variance; that is (n − 1) / n for n equal patients. With one patient nothing can be
    measured, and no factor helps: 1.
    """
    share_P = images_P[images_P > 0] / max(1, images_P.sum())
    if len(share_P) <= 1:
        return 1.0
    squares = float(np.square(share_P).sum())
    seen = 1 - 2 * float((share_P**3).sum()) / squares + squares
    return 1 / seen


def too_few(kind: str, images_P: NDArray[Any]) -> str | None:
    """Why these patients give no interval; None if they do.

    Args:
        kind: what their images are, such as ``positive``.
        images_P: number of such images of each patient.
    """
    patients, effective = int((images_P > 0).sum()), effective_patients(images_P)
    if patients == 1:
        return f"all {kind} images are of one patient, so no interval can count patients"
    if patients < LEAST_PATIENTS:
        return f"{kind} images of only {patients} patients: too few for an interval"
    if effective < LEAST_EFFECTIVE:
        return (
            f"the {kind} images of {patients} patients are worth {effective:.1f} patients, "
            "since most are of one: too few for an interval"
        )
    return None


def share_interval(share: float, spread: Spread, tail: float = _TAIL) -> Interval | None:
    """The interval of a value between 0 and 1; None if nothing varies though it should.

    ``tail``: the probability on each side that it leaves out.
    """
    if share >= 1:
        return tail ** (1 / spread.effective), 1.0
    if share <= 0:
        return 0.0, 1 - tail ** (1 / spread.effective)
    if not spread.error > 0:
        return None
    logit = math.log(share / (1 - share))
    half = t_quantile(spread.effective - 1, tail) * spread.error / (share * (1 - share))
    return _expit(logit - half), _expit(logit + half)


def plain_interval(value: float, spread: Spread) -> Interval | None:
    """The interval of an unbounded value, such as a difference; None if nothing varies."""
    if not spread.error > 0:
        return None
    half = t_quantile(spread.effective - 1) * spread.error
    return value - half, value + half


def spread_at_an_end(effective: float) -> Spread:
    """Of a share that is 0 or 1: the standard deviation that gives ``share_interval``'s exact end.

    That end is a quantile of the beta distribution with parameters 1 and ``effective``.
    """
    variance = effective / ((effective + 1) ** 2 * (effective + 2))
    return Spread(math.sqrt(variance), effective)


def degrees_of_a_mean(spreads: list[Spread]) -> float:
    """Degrees of freedom of a mean of figures, (Σv)² / Σ(v² / df) with v the figures' variances.

    Satterthwaite 1946 (Biometrics Bulletin 2:110). His figures are independent, while findings
    share patients: an approximation, which ``tests/bench/coverage.py`` checks.
    """
    variances = np.array([spread.error**2 for spread in spreads])
    degrees = np.array([spread.effective - 1 for spread in spreads])
    below = float((variances**2 / degrees).sum())
    return float(variances.sum()) ** 2 / below if below else float(degrees.min())


@lru_cache(maxsize=1024)
def t_quantile(degrees: float, tail: float = _TAIL) -> float:
    """The quantile of Student's t above which this probability lies: half of the excluded one."""
    from scipy.special import stdtrit  # comes with scikit-learn; slow at the door

    return float(stdtrit(degrees, 1 - tail))


def _expit(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-min(logit, 700.0)))
    return math.exp(max(logit, -700.0)) / (1 + math.exp(max(logit, -700.0)))
