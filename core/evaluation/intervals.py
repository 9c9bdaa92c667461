"""Confidence intervals that count patients, not images.

NIH has many images of one patient, and they look alike. An interval that takes images as
independent is too narrow, so whole patients are drawn with replacement (the cluster
bootstrap; Field and Welsh 2007, J R Stat Soc B 69:369).

A draw is a weight for each patient, so nothing is sorted again. With the images of one
finding ranked once, both areas depend on a draw only through three sums at each distinct
score that has a positive image: the weight of positives there, of negatives there, and of
negatives ranked between it and the one above. These sums are linear in the patients' weights:
three sparse matrices, made once, times a chunk of draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.findings import ABSENT, PRESENT

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CONFIDENCE = 0.95
Interval = tuple[float, float]

_DRAWS_AT_ONCE = 32  # the patients' weights stay in the processor's cache, and memory is small
_LEAST_DEFINED_SHARE = 0.5
"""An interval from fewer of the draws than this would describe the lucky ones only."""

_LEAST_PATIENTS = 2
"""Patients of each class without which drawing patients shows no variation."""


@dataclass(frozen=True)
class PatientIntervals:
    """Percentile intervals (95 %); None where they can't be had, with the reason.

    Attributes:
        auroc_F, auprc_F: one interval a finding.
        reasons_F: why a finding has none, or None.
        mean_auroc: interval of the mean AUROC over ``mean_findings``.
        mean_findings: columns of the findings whose AUROC is defined in the full set.
        mean_draws: draws in which all of these are defined, which the interval rests on.
        draws: draws made.
    """

    auroc_F: tuple[Interval | None, ...]
    auprc_F: tuple[Interval | None, ...]
    reasons_F: tuple[str | None, ...]
    mean_auroc: Interval | None
    mean_findings: tuple[int, ...]
    mean_draws: int
    draws: int


@dataclass(frozen=True)
class RankedFinding:
    """One finding's images, ranked once; G distinct scores with a positive, highest first."""

    positives_GP: csr_matrix
    tied_negatives_GP: csr_matrix
    negatives_between_GP: csr_matrix
    negatives_of_patient_P: NDArray[np.float64]


def patient_bootstrap(
    labels_NF: NDArray[Any],
    scores_NF: NDArray[Any],
    patients_N: NDArray[Any],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> PatientIntervals:
    """Intervals of each finding's AUROC and AUPRC and of the mean AUROC, by drawing patients.

    All findings see the same draws, so that the mean's interval holds their correlation.

    In a draw that lacks a class a finding is left out. The mean is taken over the findings
    that are defined in the full set, and only in draws where every one of them is: a mean
    over whichever findings happen to be there would mix different quantities (without Hernia
    the mean is another number), and its spread would be of the wrong thing. Where fewer than
    half of the draws qualify, there is no interval.

    Args:
        labels_NF: 1, 0 or NaN (unknown: left out of that finding).
        scores_NF: finite scores.
        patients_N: whose image it is; any values that tell patients apart.
        draws: 0 gives no intervals.
        seed: the draws are a function of it and of the number of patients.
    """
    codes_N, num_patients = patient_codes(patients_N)
    ranked_F = _rank_findings(labels_NF, scores_NF, codes_N, num_patients)
    auroc_FB, auprc_FB = _areas_of_draws(ranked_F, num_patients, draws, seed)
    reasons_F = tuple(
        _reason_for_none(labels_NF[:, column], codes_N, auroc_FB[column])
        for column in range(len(ranked_F))
    )
    mean_findings = tuple(column for column, ranked in enumerate(ranked_F) if ranked is not None)
    mean_B = auroc_FB[list(mean_findings)].mean(axis=0) if mean_findings else np.full(draws, np.nan)
    return PatientIntervals(
        auroc_F=tuple(_percentiles(row, why) for row, why in zip(auroc_FB, reasons_F, strict=True)),
        auprc_F=tuple(_percentiles(row, why) for row, why in zip(auprc_FB, reasons_F, strict=True)),
        reasons_F=reasons_F,
        mean_auroc=_percentiles(mean_B, None),
        mean_findings=mean_findings,
        mean_draws=int(np.isfinite(mean_B).sum()),
        draws=draws,
    )


def gain_intervals(
    labels_NF: NDArray[Any],
    before_NF: NDArray[Any],
    after_NF: NDArray[Any],
    patients_N: NDArray[Any],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> list[Interval | None]:
    """Intervals of how much higher each finding's AUROC is by the later scores than the earlier.

    Both are scores of the same images, so each draw of patients is taken for both: what makes
    a set of patients easy or hard for either cancels out. None as in ``patient_bootstrap``.
    """
    codes_N, num_patients = patient_codes(patients_N)
    before_FB, after_FB = (
        _areas_of_draws(
            _rank_findings(labels_NF, scores_NF, codes_N, num_patients), num_patients, draws, seed
        )[0]
        for scores_NF in (before_NF, after_NF)
    )
    return [
        _percentiles(gain_B, _reason_for_none(labels_NF[:, column], codes_N, gain_B))
        for column, gain_B in enumerate(after_FB - before_FB)
    ]


def mean_intervals(
    values_NV: NDArray[np.float64],
    patients_N: NDArray[Any],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> list[Interval | None]:
    """Intervals of the mean of each of V values over N images, by drawing patients.

    NaN values are left out. None where no interval can count patients: fewer than two patients
    with a value, or no draws.
    """
    codes_N, num_patients = patient_codes(patients_N)
    known_NV = np.isfinite(values_NV)
    sums_PV = np.zeros((num_patients, values_NV.shape[1]))
    counts_PV = np.zeros_like(sums_PV)
    np.add.at(sums_PV, codes_N, np.where(known_NV, values_NV, 0.0))
    np.add.at(counts_PV, codes_N, known_NV.astype(np.float64))
    means = [np.empty((0, values_NV.shape[1]))]
    for weights_PB in _patient_draws(num_patients, draws, seed):
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append((weights_PB.T @ sums_PV) / (weights_PB.T @ counts_PV))
    means_BV = np.concatenate(means)
    few_V = (counts_PV > 0).sum(axis=0) < _LEAST_PATIENTS
    return [
        _percentiles(column_B, "few" if few else None)
        for column_B, few in zip(means_BV.T, few_V, strict=True)
    ]


def patient_codes(patients_N: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Patients numbered 0 … P-1 in the order of their numbers, and P."""
    patients_P, codes_N = np.unique(patients_N, return_inverse=True)
    return codes_N.reshape(-1), len(patients_P)


def rank_finding(
    labels_N: NDArray[Any], scores_N: NDArray[Any], codes_N: NDArray[np.intp], num_patients: int
) -> RankedFinding | None:
    """Sort one finding's known images once; None where they lack a class."""
    known_N = ~np.isnan(labels_N)
    order_K = np.argsort(-scores_N[known_N].astype(np.float64), kind="stable")
    present_K = (labels_N[known_N] == PRESENT)[order_K]
    scores_K = scores_N[known_N][order_K]
    codes_K = codes_N[known_N][order_K]
    if not present_K.any() or present_K.all():
        return None
    # Distinct scores that have a positive, negated so that searchsorted sees them ascending.
    negated_G = np.unique(-scores_K[present_K].astype(np.float64))
    negated_K = -scores_K.astype(np.float64)
    row_K = np.searchsorted(negated_G, negated_K, side="left")  # the first row at or below
    absent_K = ~present_K
    tied_K = absent_K & (np.searchsorted(negated_G, negated_K, side="right") > row_K)
    between_K = absent_K & ~tied_K & (row_K < len(negated_G))  # those below every positive: none

    def counted(chosen_K: NDArray[np.bool_]) -> csr_matrix:
        return _counts(row_K[chosen_K], codes_K[chosen_K], (len(negated_G), num_patients))

    return RankedFinding(
        positives_GP=counted(present_K),
        tied_negatives_GP=counted(tied_K),
        negatives_between_GP=counted(between_K),
        negatives_of_patient_P=np.bincount(codes_K[absent_K], minlength=num_patients).astype(
            np.float64
        ),
    )


def _rank_findings(
    labels_NF: NDArray[Any],
    scores_NF: NDArray[Any],
    codes_N: NDArray[np.intp],
    num_patients: int,
) -> list[RankedFinding | None]:
    return [
        rank_finding(labels_NF[:, column], scores_NF[:, column], codes_N, num_patients)
        for column in range(labels_NF.shape[1])
    ]


def _areas_of_draws(
    ranked_F: Sequence[RankedFinding | None], num_patients: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and AUPRC of F findings in B draws of the patients; NaN where a draw lacks a class."""
    auroc_FB = np.full((len(ranked_F), draws), np.nan)
    auprc_FB = np.full((len(ranked_F), draws), np.nan)
    first = 0
    for weights_PB in _patient_draws(num_patients, draws, seed):
        chunk = slice(first, first + weights_PB.shape[1])
        for column, ranked in enumerate(ranked_F):
            if ranked is not None:
                areas = areas_under_weights(ranked, weights_PB)
                auroc_FB[column, chunk], auprc_FB[column, chunk] = areas
        first = chunk.stop
    return auroc_FB, auprc_FB


def areas_under_weights(
    ranked: RankedFinding, weights_PB: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and AUPRC of one finding for B weightings of its patients; NaN where one lacks a class.

    AUROC is the share of (positive, negative) pairs in the right order, ties counting one
    half (Mann-Whitney); AUPRC is scikit-learn's average precision, a step at each distinct
    score. Both equal scikit-learn's with ``sample_weight`` = the weight of the image's patient.
    """
    positives_GB = ranked.positives_GP @ weights_PB
    tied_GB = ranked.tied_negatives_GP @ weights_PB
    above_GB = ranked.negatives_between_GP @ weights_PB
    # Negatives above row g: those between the rows down to g, and those tied with rows before g.
    above_GB[1:] += tied_GB[:-1]
    np.cumsum(above_GB, axis=0, out=above_GB)
    positives_B = positives_GB.sum(axis=0)
    negatives_B = ranked.negatives_of_patient_P @ weights_PB

    with np.errstate(invalid="ignore", divide="ignore"):
        wrong_B = np.einsum("gb,gb->b", positives_GB, above_GB + 0.5 * tied_GB)
        auroc_B = 1.0 - wrong_B / (positives_B * negatives_B)
        above_GB += tied_GB  # from here on: false positives at each row's score
        true_GB = np.cumsum(positives_GB, axis=0)
        # Where nothing is called yet, the row's own weight is 0 too and adds nothing.
        precision_GB = true_GB / np.maximum(true_GB + above_GB, np.finfo(np.float64).tiny)
        auprc_B = np.einsum("gb,gb->b", positives_GB, precision_GB) / positives_B
    defined_B = (positives_B > 0) & (negatives_B > 0)
    return np.where(defined_B, auroc_B, np.nan), np.where(defined_B, auprc_B, np.nan)


def _counts(
    rows_M: NDArray[np.intp], columns_M: NDArray[np.intp], shape: tuple[int, int]
) -> csr_matrix:
    """A sparse table of how often each (row, column) occurs."""
    from scipy.sparse import csr_matrix  # comes with scikit-learn; not at the door, it is slow

    ones_M = np.ones(len(rows_M), dtype=np.float64)
    return csr_matrix((ones_M, (rows_M, columns_M)), shape=shape)


def _patient_draws(num_patients: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each patient comes in each draw, some draws at a time, P × B."""
    rng = np.random.default_rng(seed)
    if num_patients == 0:
        return
    for first in range(0, draws, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, draws - first)
        weights_PB = np.empty((num_patients, count))
        for draw in range(count):
            drawn_P = rng.integers(num_patients, size=num_patients)
            weights_PB[:, draw] = np.bincount(drawn_P, minlength=num_patients)
        yield weights_PB


def _reason_for_none(
    labels_N: NDArray[Any], codes_N: NDArray[np.intp], auroc_B: NDArray[np.float64]
) -> str | None:
    """Why this finding has no interval, or None where it has one."""
    if len(auroc_B) == 0:
        return None  # none was asked for
    if not np.isfinite(auroc_B).any():
        return "no draw of the patients has both classes"
    for label, name in ((PRESENT, "positive"), (ABSENT, "negative")):
        if len(np.unique(codes_N[labels_N == label])) < _LEAST_PATIENTS:
            return f"all {name} images are of one patient, so no interval can count patients"
    if np.isfinite(auroc_B).mean() < _LEAST_DEFINED_SHARE:
        return "most draws of the patients lack a class"
    return None


def _percentiles(values_B: NDArray[np.float64], reason: str | None) -> Interval | None:
    defined_B = values_B[np.isfinite(values_B)]
    if reason or len(defined_B) == 0 or len(defined_B) < _LEAST_DEFINED_SHARE * len(values_B):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined_B, [tail, 100 - tail])
    return float(low), float(high)
