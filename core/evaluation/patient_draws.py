"""Draws of whole patients, and AUROC and AUPRC in each of them.

Whole patients are drawn with replacement (the cluster bootstrap; Field and Welsh 2007, J R Stat Soc
B 69:369). A draw is a weight for each patient, so nothing is sorted again. Once the images of a
finding are ranked, both areas depend on a draw only through three sums at each distinct score that
has a positive image: the weight of positives there, of negatives there, and of negatives ranked
between it and the one above. These sums are linear in the patients' weights: three sparse matrices,
made once, times a chunk of draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.findings import PRESENT

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_DRAWS_AT_ONCE = 32  # the patients' weights stay in the processor's cache, and memory is small


@dataclass(frozen=True)
class RankedFinding:
    """One finding's images, ranked once; G distinct scores with a positive, highest first."""

    positives_GP: csr_matrix
    tied_negatives_GP: csr_matrix
    negatives_between_GP: csr_matrix
    negatives_of_patient_P: NDArray[np.float32]


def rank_finding(
    labels_N: NDArray[Any], scores_N: NDArray[Any], codes_N: NDArray[np.intp], num_patients: int
) -> RankedFinding | None:
    """Sort one finding's known images once; None if they lack a class."""
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
            np.float32
        ),
    )


def areas_of_draws(
    ranked_F: Sequence[RankedFinding | None], num_patients: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and AUPRC of F findings in B draws of the patients; NaN if a draw lacks a class.

    All findings use the same draws, determined by the seed and the number of patients.
    """
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
    ranked: RankedFinding, weights_PB: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and AUPRC of one finding for B weightings of its patients; NaN if one lacks a class.

    AUROC is the share of (positive, negative) pairs in the right order, ties counting one
    half (Mann-Whitney); AUPRC is scikit-learn's average precision, a step at each distinct
    score. Both equal scikit-learn's with ``sample_weight`` = the weight of the image's patient,
    exactly for weights in float64, and to 6 digits in float32, which is twice as fast.
    """
    positives_GB = ranked.positives_GP @ weights_PB
    # Negatives above row g: those between rows up to g, and those tied with rows before g.
    above_GB = ranked.negatives_between_GP @ weights_PB
    has_ties = ranked.tied_negatives_GP.nnz > 0
    if has_ties:
        tied_GB = ranked.tied_negatives_GP @ weights_PB
        above_GB[1:] += tied_GB[:-1]
    np.cumsum(above_GB, axis=0, out=above_GB)
    positives_B = positives_GB.sum(axis=0, dtype=np.float64)
    negatives_B = ranked.negatives_of_patient_P @ weights_PB.astype(np.float64)

    with np.errstate(invalid="ignore", divide="ignore"):
        wrong_B = _column_sums(positives_GB, above_GB)
        if has_ties:
            wrong_B += 0.5 * _column_sums(positives_GB, tied_GB)
            above_GB += tied_GB
        auroc_B = 1.0 - wrong_B / (positives_B * negatives_B)
        # From here on: true positives, and all called images, at each row's score.
        true_GB = np.cumsum(positives_GB, axis=0)
        above_GB += true_GB
        # If nothing is called yet, the row's own weight is 0 too and adds nothing.
        np.divide(true_GB, np.maximum(above_GB, 1e-30, out=above_GB), out=true_GB)
        auprc_B = _column_sums(positives_GB, true_GB) / positives_B
    defined_B = (positives_B > 0) & (negatives_B > 0)
    return np.where(defined_B, auroc_B, np.nan), np.where(defined_B, auprc_B, np.nan)


def specificity_of_draws(
    ranked_F: Sequence[RankedFinding | None],
    sensitivity_F: Sequence[float | None],
    num_patients: int,
    draws: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Specificity at a sensitivity: of all patients (F), and in B draws of them (F × B).

    The draws are those of ``areas_of_draws``. NaN where no sensitivity is given or a class lacks.
    """
    specificity_FB = np.full((len(ranked_F), draws), np.nan)
    specificity_F = np.full(len(ranked_F), np.nan)
    wanted = [
        (column, ranked, ranked.negatives_between_GP + ranked.tied_negatives_GP, sensitivity)
        for column, (ranked, sensitivity) in enumerate(zip(ranked_F, sensitivity_F, strict=True))
        if ranked is not None and sensitivity is not None
    ]
    everybody_P1 = np.ones((num_patients, 1), dtype=np.float32)
    for column, ranked, negatives_GP, sensitivity in wanted:
        every = _specificity(ranked, negatives_GP, everybody_P1, sensitivity)
        specificity_F[column] = float(every[0])
    first = 0
    for weights_PB in _patient_draws(num_patients, draws if wanted else 0, seed):
        chunk = slice(first, first + weights_PB.shape[1])
        for column, ranked, negatives_GP, sensitivity in wanted:
            drawn_B = _specificity(ranked, negatives_GP, weights_PB, sensitivity)
            specificity_FB[column, chunk] = drawn_B
        first = chunk.stop
    return specificity_F, specificity_FB


def _specificity(
    ranked: RankedFinding,
    negatives_GP: csr_matrix,
    weights_PB: NDArray[np.float32],
    sensitivity: float,
) -> NDArray[np.float64]:
    """At the highest threshold that reaches the sensitivity, in each of B weightings.

    ``negatives_GP``: images at or above each row's score, and below the row before.
    """
    true_GB = np.cumsum(ranked.positives_GP @ weights_PB, axis=0, dtype=np.float64)
    false_GB = np.cumsum(negatives_GP @ weights_PB, axis=0, dtype=np.float64)
    positives_B = true_GB[-1]
    negatives_B = ranked.negatives_of_patient_P @ weights_PB.astype(np.float64)
    row_B = np.argmax(true_GB >= sensitivity * positives_B - 1e-9 * positives_B, axis=0)
    called_B = np.take_along_axis(false_GB, row_B[None], axis=0)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        specificity_B = 1 - called_B / negatives_B
    defined_B = (positives_B > 0) & (negatives_B > 0)
    return np.where(defined_B, specificity_B, np.nan)


def _column_sums(one_GB: NDArray[Any], other_GB: NDArray[Any]) -> NDArray[np.float64]:
    """Sums of products down each column, in float64 whatever the dtype of the factors."""
    sums_B: NDArray[np.float64] = np.multiply(one_GB, other_GB).sum(axis=0, dtype=np.float64)
    return sums_B


def _counts(
    rows_M: NDArray[np.intp], columns_M: NDArray[np.intp], shape: tuple[int, int]
) -> csr_matrix:
    """A sparse table of the number of occurrences of each (row, column)."""
    from scipy.sparse import csr_matrix  # comes with scikit-learn; not at the door, it is slow

    # Counts of images are integers, which float32 holds exactly up to 2^24 at half the memory
    # traffic, and that is the cost of a draw.
    ones_M = np.ones(len(rows_M), dtype=np.float32)
    return csr_matrix((ones_M, (rows_M, columns_M)), shape=shape)


def _patient_draws(num_patients: int, draws: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each patient occurs in each draw, some draws at a time, P × B."""
    rng = np.random.default_rng(seed)
    if num_patients == 0:
        return
    for first in range(0, draws, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, draws - first)
        weights_PB = np.empty((num_patients, count), dtype=np.float32)
        for draw in range(count):
            drawn_P = rng.integers(num_patients, size=num_patients)
            weights_PB[:, draw] = np.bincount(drawn_P, minlength=num_patients)
        yield weights_PB
