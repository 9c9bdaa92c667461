"""Confidence intervals of an evaluation's figures; all count patients, not images.

See ``core.evaluation.confidence`` for how the ends of an interval are computed.
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
    degrees_of_a_mean,
    effective_patients,
    patient_codes,
    plain_interval,
    share_interval,
    spread_at_an_end,
    too_few,
    unequal_patients,
)
from core.evaluation.patient_draws import areas_of_draws, areas_under_weights, rank_finding
from core.findings import ABSENT, PRESENT

_NO_SPREAD = "every draw of patients has the same AUROC, so there is no interval"


@dataclass(frozen=True)
class PatientIntervals:
    """95 % intervals; None with a reason if there is none.

    Attributes:
        auroc_F, auprc_F: one interval per finding.
        effective_F: effective number of positive patients of each finding.
        reasons_F: why a finding has none, or None.
        mean_auroc: interval of the mean AUROC over every finding that has an AUROC; None if one of
            these has no interval of its own.
        bounded: columns of the findings that have an interval.
        bounded_mean: interval of the mean over these.
        mean_draws: draws in which all of them are defined, which the mean's interval is based on.
        draws: draws made.
    """

    auroc_F: tuple[Interval | None, ...]
    auprc_F: tuple[Interval | None, ...]
    effective_F: tuple[float, ...]
    reasons_F: tuple[str | None, ...]
    mean_auroc: Interval | None
    bounded: tuple[int, ...]
    bounded_mean: Interval | None
    mean_draws: int
    draws: int


@dataclass(frozen=True)
class _Finding:
    """One finding's areas in all images and in B draws of the patients.

    Attributes:
        effective, too_small: of the rarer class, and of the more unequal one; see
            ``core.evaluation.confidence``.
        reason: why it has no interval, or None.
    """

    auroc: float
    auprc: float
    auroc_B: NDArray[np.float64]
    auprc_B: NDArray[np.float64]
    effective: float
    too_small: float
    reason: str | None

    def spread_of(self, values_B: NDArray[np.float64]) -> Spread:
        """Spread of a figure over the draws."""
        return Spread(_deviation(values_B) * math.sqrt(self.too_small), self.effective)

    @property
    def spread(self) -> Spread:
        """Spread of the AUROC."""
        if self.auroc in (0.0, 1.0):  # draws don't vary, though patients would
            return spread_at_an_end(self.effective)
        return self.spread_of(self.auroc_B)


def patient_bootstrap(
    labels_NF: NDArray[Any],
    scores_NF: NDArray[Any],
    patients_N: NDArray[Any],
    *,
    draws: int = 5000,
    seed: int = 0,
) -> PatientIntervals:
    """Intervals of each finding's AUROC and AUPRC and of the mean AUROC, by drawing patients.

    The standard error is the standard deviation over the draws. All findings use the same draws, so
    the mean's error includes their correlation; it is based on the draws in which all of its
    findings are defined, since a mean over whichever happen to be defined would mix different
    quantities (without Hernia the mean is another number).

    Args:
        labels_NF: 1, 0 or NaN (unknown: left out of that finding).
        scores_NF: finite scores.
        patients_N: the patient of each image; any values that identify patients.
        draws: 0 gives no intervals.
        seed: with the number of patients it determines the draws.
    """
    codes_N, num_patients = patient_codes(patients_N)
    positive_PF, negative_PF = (
        _images_of_patients(labels_NF == label, codes_N, num_patients)
        for label in (PRESENT, ABSENT)
    )
    findings = _areas(labels_NF, scores_NF, codes_N, positive_PF, negative_PF, draws, seed)
    defined = [column for column, finding in enumerate(findings) if finding is not None]
    auroc_F, auprc_F, reasons_F = [], [], []
    for finding in findings:
        auroc, auprc, reason = _intervals(finding, draws)
        auroc_F.append(auroc)
        auprc_F.append(auprc)
        reasons_F.append(reason)
    bounded = tuple(column for column in defined if auroc_F[column] is not None)
    bounded_mean, mean_draws = _mean([one for c in bounded if (one := findings[c]) is not None])
    return PatientIntervals(
        auroc_F=tuple(auroc_F),
        auprc_F=tuple(auprc_F),
        effective_F=tuple(effective_patients(images_P) for images_P in positive_PF.T),
        reasons_F=tuple(reasons_F),
        mean_auroc=bounded_mean if len(bounded) == len(defined) else None,
        bounded=bounded,
        bounded_mean=bounded_mean,
        mean_draws=mean_draws,
        draws=draws,
    )


def ratio_intervals(
    parts_NV: NDArray[Any],
    wholes_NV: NDArray[Any],
    patients_N: NDArray[Any],
    *,
    are_shares: bool = True,
) -> list[Interval | None]:
    """Intervals of Σpart / Σwhole over N images, for each of V ratios, counting patients.

    The standard error is that of a ratio of sums over patients, linearised (Cochran 1977, Sampling
    Techniques, section 2.11; Rao and Scott 1992, Biometrics 48:577, for shares of clustered data).

    Args:
        parts_NV: contribution of each image to the numerator, such as 1 if it was called.
        wholes_NV: contribution to the denominator, such as 1 if it is positive; 0 leaves it out.
        are_shares: whether the ratio lies between 0 and 1.

    Returns:
        None if there are too few patients for a ratio, or nothing varies.
    """
    codes_N, num_patients = patient_codes(patients_N)
    counted_NV = np.asarray(wholes_NV, dtype=np.float64)
    part_PV, whole_PV = (
        _images_of_patients(np.where(counted_NV > 0, values_NV, 0.0), codes_N, num_patients)
        for values_NV in (parts_NV, counted_NV)
    )
    found: list[Interval | None] = []
    for part_P, whole_P in zip(part_PV.T, whole_PV.T, strict=True):
        if too_few("counted", whole_P):
            found.append(None)
            continue
        ratio = float(part_P.sum() / whole_P.sum())
        left_P = (part_P - ratio * whole_P) / whole_P.sum()
        error = math.sqrt(unequal_patients(whole_P) * float((left_P**2).sum()))
        spread = Spread(error, effective_patients(whole_P))
        found.append(share_interval(ratio, spread) if are_shares else plain_interval(ratio, spread))
    return found


def mean_intervals(
    values_NV: NDArray[np.float64], patients_N: NDArray[Any], *, are_shares: bool = True
) -> list[Interval | None]:
    """Intervals of the mean of each of V values over N images, counting patients.

    NaN values are left out; None as in ``ratio_intervals``.
    """
    known_NV = np.isfinite(values_NV)
    return ratio_intervals(
        np.where(known_NV, values_NV, 0.0), known_NV, patients_N, are_shares=are_shares
    )


def _areas(
    labels_NF: NDArray[Any],
    scores_NF: NDArray[Any],
    codes_N: NDArray[np.intp],
    positive_PF: NDArray[np.float64],
    negative_PF: NDArray[np.float64],
    draws: int,
    seed: int,
) -> list[_Finding | None]:
    num_patients = len(positive_PF)
    ranked_F = [
        rank_finding(labels_NF[:, column], scores_NF[:, column], codes_N, num_patients)
        for column in range(labels_NF.shape[1])
    ]
    everybody_P1 = np.ones((num_patients, 1))
    auroc_FB, auprc_FB = areas_of_draws(ranked_F, num_patients, draws, seed)
    findings: list[_Finding | None] = []
    for column, ranked in enumerate(ranked_F):
        if ranked is None:
            findings.append(None)
            continue
        auroc_1, auprc_1 = areas_under_weights(ranked, everybody_P1)
        images = positive_PF[:, column], negative_PF[:, column]
        findings.append(
            _Finding(
                auroc=float(auroc_1[0]),
                auprc=float(auprc_1[0]),
                auroc_B=auroc_FB[column],
                auprc_B=auprc_FB[column],
                effective=min(effective_patients(images_P) for images_P in images),
                too_small=max(unequal_patients(images_P) for images_P in images),
                reason=too_few("positive", images[0]) or too_few("negative", images[1]),
            )
        )
    return findings


def _intervals(
    finding: _Finding | None, draws: int
) -> tuple[Interval | None, Interval | None, str | None]:
    """AUROC's, AUPRC's, and why there are none."""
    if finding is None or draws == 0:
        return None, None, None
    if finding.reason:
        return None, None, finding.reason
    auroc = share_interval(finding.auroc, finding.spread)
    auprc = share_interval(finding.auprc, finding.spread_of(finding.auprc_B))
    return auroc, auprc, None if auroc is not None else _NO_SPREAD


def _mean(findings: list[_Finding]) -> tuple[Interval | None, int]:
    """The interval of the mean AUROC of findings that have one each, and the draws behind it."""
    if not findings:
        return None, 0
    drawn_B = np.mean([finding.auroc_B for finding in findings], axis=0)
    # Corrects the draws' variance, which is too small; a finding at 0 or 1 adds nothing to it.
    seen = sum(_deviation(finding.auroc_B) ** 2 for finding in findings)
    unseen = sum(finding.spread.error**2 for finding in findings) - seen
    error = math.sqrt(_deviation(drawn_B) ** 2 + unseen / len(findings) ** 2)
    degrees = degrees_of_a_mean([finding.spread for finding in findings])
    mean = float(np.mean([finding.auroc for finding in findings]))
    return share_interval(mean, Spread(error, degrees + 1)), int(np.isfinite(drawn_B).sum())


def _deviation(values_B: NDArray[np.float64]) -> float:
    defined_B = values_B[np.isfinite(values_B)]
    return float(defined_B.std(ddof=1)) if len(defined_B) > 1 else 0.0


def _images_of_patients(
    counted_NV: NDArray[Any], codes_N: NDArray[np.intp], num_patients: int
) -> NDArray[np.float64]:
    """Sums over each patient's images, P × V."""
    columns = [
        np.bincount(codes_N, weights=column_N.astype(np.float64), minlength=num_patients)
        for column_N in counted_NV.T
    ]
    return np.column_stack(columns) if columns else np.empty((num_patients, 0))


__all__ = [
    "PatientIntervals",
    "mean_intervals",
    "patient_bootstrap",
    "ratio_intervals",
]
