"""The ends of an interval, from a value, its standard error and how many patients stand behind it.

NIH has many images of one patient, and they look alike, so no interval here counts images. Where
patients have different numbers of images, some of them carry more than their share: Kish's
formula says how many equal patients they are worth (Kish 1965, Survey Sampling, section 8.2), and
Student's t with that number less one for its degrees of freedom pays for a standard error that was
itself estimated from so few. That error is measured around a mean which the largest patients pull
towards themselves, so it comes out too small; ``unequal_patients`` makes good for it.

An area or a share lies between 0 and 1, and near either end its distribution leans. So the interval
is made on the logit scale, where the standard error is that of the value over value × (1 − value)
(delta method; Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2), and brought
back. At 0 or 1 itself nothing varies that could be measured; there the exact interval of a share
that was never missed holds, 0.025^(1 / patients) (Clopper and Pearson 1934).
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
"""Fewer patients than these of a class say nothing of how much the figure would vary."""

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Spread:
    """How much a figure varies, and on how many patients that rests.

    Attributes:
        error: its standard error, over patients.
        effective: patients of the rarer class, as so many with equally many images.
    """

    error: float
    effective: float


def patient_codes(patients_N: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Patients numbered 0 … P-1 in the order of their numbers, and P."""
    patients_P, codes_N = np.unique(patients_N, return_inverse=True)
    return codes_N.reshape(-1), len(patients_P)


def effective_patients(images_P: NDArray[Any]) -> float:
    """Kish's effective number of patients, (Σm)² / Σm², for m images a patient; 0 for none.

    Thirty patients with an image each are worth thirty; one with 71 images and nine with one each
    are worth 1.3.
    """
    squares = float(np.square(images_P, dtype=np.float64).sum())
    return float(images_P.sum()) ** 2 / squares if squares else 0.0


def unequal_patients(images_P: NDArray[Any]) -> float:
    """By how much a variance over patients comes out too small, as a factor of 1 or more.

    A mean of independent patients with shares w of the images leaves of their true variance
    1 − 2 Σw³ / Σw² + Σw² to be seen around itself; that is (n − 1) / n for n equal patients. Of one
    patient nothing can be seen, and no factor helps: 1.
    """
    share_P = images_P[images_P > 0] / max(1, images_P.sum())
    if len(share_P) <= 1:
        return 1.0
    squares = float(np.square(share_P).sum())
    seen = 1 - 2 * float((share_P**3).sum()) / squares + squares
    return 1 / seen


def too_few(kind: str, images_P: NDArray[Any]) -> str | None:
    """Why these patients give no interval, in words, or None where they do.

    Args:
        kind: what their images are, such as ``positive``.
        images_P: how many such images each patient has.
    """
    patients, effective = int((images_P > 0).sum()), effective_patients(images_P)
    if patients == 1:
        return f"all {kind} images are of one patient, so no interval can count patients"
    if patients < LEAST_PATIENTS:
        return f"{kind} images of {patients} patients alone: too few for an interval"
    if effective < LEAST_EFFECTIVE:
        return (
            f"the {kind} images of {patients} patients are worth {effective:.1f} patients, since "
            "most are of one: too few for an interval"
        )
    return None


def share_interval(share: float, spread: Spread) -> Interval | None:
    """The interval of a value between 0 and 1; None where nothing varies though it should."""
    if share >= 1:
        return _TAIL ** (1 / spread.effective), 1.0
    if share <= 0:
        return 0.0, 1 - _TAIL ** (1 / spread.effective)
    if not spread.error > 0:
        return None
    logit = math.log(share / (1 - share))
    half = t_quantile(spread.effective - 1) * spread.error / (share * (1 - share))
    return _expit(logit - half), _expit(logit + half)


def plain_interval(value: float, spread: Spread) -> Interval | None:
    """The interval of a value without bounds, such as a difference; None where nothing varies."""
    if not spread.error > 0:
        return None
    half = t_quantile(spread.effective - 1) * spread.error
    return value - half, value + half


def spread_at_an_end(effective: float) -> Spread:
    """Of a share that is 0 or 1: the standard deviation behind ``share_interval``'s exact end.

    That end is a quantile of the beta distribution with parameters 1 and ``effective``.
    """
    variance = effective / ((effective + 1) ** 2 * (effective + 2))
    return Spread(math.sqrt(variance), effective)


def degrees_of_a_mean(spreads: list[Spread]) -> float:
    """Degrees of freedom of a mean of figures, (Σv)² / Σ(v² / df) with v the figures' variances.

    Satterthwaite 1946 (Biometrics Bulletin 2:110). His figures are independent and findings of the
    same patients are not: an approximation, which ``tests/bench/coverage.py`` checks.
    """
    variances = np.array([spread.error**2 for spread in spreads])
    degrees = np.array([spread.effective - 1 for spread in spreads])
    below = float((variances**2 / degrees).sum())
    return float(variances.sum()) ** 2 / below if below else float(degrees.min())


@lru_cache(maxsize=1024)
def t_quantile(degrees: float) -> float:
    """The upper quantile of Student's t that leaves half of what the interval may miss."""
    from scipy.special import stdtrit  # comes with scikit-learn; slow at the door

    return float(stdtrit(degrees, 1 - _TAIL))


def _expit(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-min(logit, 700.0)))
    return math.exp(max(logit, -700.0)) / (1 + math.exp(max(logit, -700.0)))
