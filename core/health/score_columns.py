"""One finding's scores and labels: AUROC, and its uncertainty over patients.

Every test here treats patients as the independent units: either by each patient's influence on the
AUROC (``core.evaluation.placements``), or exactly, with one image of each patient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import (
    CONFIDENCE,
    Interval,
    effective_patients,
    patient_codes,
    share_interval,
)
from core.evaluation.placements import PlacedFinding, average_ranks, mean_interval, place
from core.evaluation.predictions import Predictions
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.findings import PRESENT
from core.health.words import listed

FALSE_ALARMS = 0.002
"""False-positive rate of a check on healthy files, for any number of findings."""

_ANYTHING = (0.0, 1.0)
_EXACT_UP_TO = 20
"""Up to this many positive patients the null distribution is exact; above, the normal approximation
is used, which is conservative in the tail."""


@dataclass(frozen=True, eq=False)
class Column:
    """One finding's K images with known label: labels, scores and patients.

    ``patients_K`` numbers the patients of the whole file from 0; ``num_patients`` is their count.
    """

    finding: str
    place: int
    present_K: NDArray[np.bool_]
    scores_K: NDArray[np.float64]
    patients_K: NDArray[np.intp]
    num_patients: int

    @property
    def has_both(self) -> bool:
        """Whether there are both positive and negative images."""
        return bool(self.present_K.any()) and not self.present_K.all()

    @cached_property
    def positive_patients(self) -> int:
        """Number of patients with a positive image."""
        return len(np.unique(self.patients_K[self.present_K]))

    @cached_property
    def distinct(self) -> int:
        """Number of distinct scores."""
        return len(np.unique(self.scores_K))

    @cached_property
    def placed(self) -> PlacedFinding:
        """The AUROC and each patient's influence on it."""
        labels_K = self.present_K.astype(np.float64)
        placed = place(labels_K, self.scores_K, self.patients_K, self.num_patients)
        assert placed is not None  # it has both classes
        return placed

    @property
    def area(self) -> float:
        """AUROC; ties count one half."""
        return self.placed.value

    @property
    def standard_error(self) -> float:
        """Standard error of the AUROC, over patients."""
        return self.placed.spread.error

    @property
    def effective_positive_patients(self) -> float:
        """Effective number of positive patients, if all had equally many positive images."""
        return effective_patients(self.placed.images_P2[:, 0])

    def interval(self, of_findings: int = 1) -> Interval:
        """95 % confidence interval of the AUROC; (0, 1) if there are too few patients.

        ``of_findings``: number of findings whose intervals must hold simultaneously (Bonferroni).
        """
        from scipy.special import stdtrit  # comes with scikit-learn; slow at the door

        if self.placed.why_no_interval is not None:
            return _ANYTHING
        spread = self.placed.spread
        missed, degrees = (1 - CONFIDENCE) / 2, spread.effective - 1
        wider = float(stdtrit(degrees, missed / of_findings) / stdtrit(degrees, missed))
        return share_interval(self.area, replace(spread, error=wider * spread.error)) or _ANYTHING

    @cached_property
    def tie_share(self) -> float:
        """Share of positive-negative image pairs with equal scores."""
        _, value_K = np.unique(self.scores_K, return_inverse=True)
        positives_V = np.bincount(value_K, weights=self.present_K)
        negatives_V = np.bincount(value_K, weights=~self.present_K)
        pairs = float(positives_V.sum() * negatives_V.sum())
        return float((positives_V * negatives_V).sum()) / pairs if pairs else 0.0

    @property
    def lowest_shares_below(self) -> NDArray[np.float64]:
        """For each positive patient, the share of negatives below the lowest positive image."""
        below = self._shares_below[0]
        _, code_K = np.unique(self.patients_K[self.present_K], return_inverse=True)
        lowest_P = np.ones(self.positive_patients)
        np.minimum.at(lowest_P, code_K, below)
        return lowest_P

    def probability_below_chance(self) -> float:
        """Probability that uninformative scores rank the positives this low or lower
        (Mann-Whitney).

        One image of each patient is ranked, so that images are independent: a positive one if there
        is any.
        """
        order_K = np.random.default_rng(0).permutation(len(self.scores_K))
        order_K = order_K[np.argsort(~self.present_K[order_K], kind="stable")]
        _, first_P = np.unique(self.patients_K[order_K], return_index=True)
        chosen_P = order_K[first_P]
        positives = self.scores_K[chosen_P[self.present_K[chosen_P]]]
        negatives = self.scores_K[chosen_P[~self.present_K[chosen_P]]]
        if not len(positives) or not len(negatives):
            return 1.0
        from scipy.stats import mannwhitneyu  # takes half a second, and few get here

        is_few = len(positives) <= _EXACT_UP_TO
        found = mannwhitneyu(
            positives, negatives, alternative="less", method="exact" if is_few else "asymptotic"
        )
        return float(found.pvalue)

    def probability_no_better(self, other_K: NDArray[np.float64]) -> float:
        """Probability that other scores rank the positives this much higher if neither is better.

        Wilcoxon's exact signed-rank test, over positive patients.
        """
        gain_K = _shares_below(other_K, self.present_K)[0] - self._shares_below[0]
        _, code_K = np.unique(self.patients_K[self.present_K], return_inverse=True)
        gain_P = np.bincount(code_K, gain_K) / np.bincount(code_K)
        if not gain_P.any():
            return 1.0
        from scipy.stats import wilcoxon  # as above

        return float(wilcoxon(gain_P, alternative="greater").pvalue)

    @cached_property
    def _shares_below(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return _shares_below(self.scores_K, self.present_K)


def columns_of(predictions: Predictions) -> list[Column]:
    """One column for each finding."""
    codes_N, num_patients = codes_of_patients(predictions.patients)
    columns = []
    for column, finding in enumerate(predictions.findings):
        labels_N = predictions.labels_NF[:, column]
        known_N = ~np.isnan(labels_N)
        columns.append(
            Column(
                finding=finding,
                place=column,
                present_K=labels_N[known_N] == PRESENT,
                scores_K=predictions.scores_NF[known_N, column].astype(np.float64),
                patients_K=codes_N[known_N],
                num_patients=num_patients,
            )
        )
    return columns


def codes_of_patients(patients_N: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Patients numbered from 0; an image of an unknown patient counts as its own patient."""
    unknown_N = patients_N == UNKNOWN_PATIENT
    return patient_codes(np.where(unknown_N, -1 - np.arange(len(patients_N)), patients_N))


def summed_by_patient(
    patients_K: NDArray[np.intp], values_K: NDArray[np.float64], num_patients: int = 0
) -> NDArray[np.float64]:
    """Sum of the values of each patient."""
    return np.bincount(patients_K, values_K, minlength=num_patients).astype(np.float64)


def standard_error(influence_P: NDArray[np.float64]) -> float:
    """Standard error of a figure, from each patient's influence on it."""
    counted = int(np.count_nonzero(influence_P))
    if counted < 2:
        return math.inf
    return math.sqrt(float(np.square(influence_P).sum()) * counted / (counted - 1))


def mean_area(columns: Sequence[Column]) -> tuple[float, Interval]:
    """Mean AUROC and its 95 % interval, over the columns with enough patients."""
    enough = [column.placed for column in columns if column.placed.why_no_interval is None]
    if not enough:
        return float(np.mean([column.area for column in columns])), _ANYTHING
    mean = float(np.mean([placed.value for placed in enough]))
    return mean, mean_interval(enough) or _ANYTHING


def names_of(columns: Sequence[Column]) -> str:
    """``A, B and C``."""
    return listed([column.finding for column in columns])


def _shares_below(
    scores_K: NDArray[np.float64], present_K: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each positive image the share of negatives below it; for each negative, of positives
    above.

    Ties count one half.
    """
    ranks_K = average_ranks(scores_K)
    positives, negatives = scores_K[present_K], scores_K[~present_K]
    below = (ranks_K[present_K] - average_ranks(positives)) / len(negatives)
    above = 1 - (ranks_K[~present_K] - average_ranks(negatives)) / len(positives)
    return below, above
