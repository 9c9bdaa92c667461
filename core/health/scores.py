"""Checks of scores beside labels, anybody's: hard, rounded, squashed twice, swapped, inverted.

AUROC asks only for the order of scores, and every one of these mistakes spoils or hides the order
while the loss, the network and the labels are all in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, rankdata

from core.evaluation.predictions import Predictions
from core.findings import ABSENT, PRESENT
from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed

ENOUGH_PATIENTS = 30
"""Positive patients from which a finding's AUROC can speak of swapped or inverted scores."""

SCORE_CHECKS = (
    "scores-hard",
    "scores-constant",
    "scores-rounded",
    "scores-saturated",
    "scores-inverted",
    "sigmoid-twice",
    "columns-swapped",
)
"""What ``check_scores`` may answer."""

_ENOUGH_IMAGES = 20
_FEW_VALUES_SHARE = 0.05
_MANY_TIES = 0.01
_FEW_ONES = 0.001
_SIGMOID_OF_0, _SIGMOID_OF_1 = 0.5, 1 / (1 + math.exp(-1))
_MANY_SATURATED = 0.05
_BEYOND_CHANCE = 0.05
_WORTH_SWAPPING, _GOOD_ELSEWHERE = 0.05, 0.65


@dataclass(frozen=True)
class _Column:
    """One finding's known labels and scores."""

    finding: str
    present_K: NDArray[np.bool_]
    scores_K: NDArray[np.float64]
    positive_patients: int
    negative_patients: int

    @property
    def has_both(self) -> bool:
        return bool(self.present_K.any()) and not self.present_K.all()

    def area(self, scores_K: NDArray[np.float64] | None = None) -> float:
        """AUROC as the Mann-Whitney statistic, by ranks; ties count one half."""
        ranks_K = rankdata(self.scores_K if scores_K is None else scores_K)
        positives = int(self.present_K.sum())
        negatives = len(self.present_K) - positives
        above = float(ranks_K[self.present_K].sum()) - positives * (positives + 1) / 2
        return above / (positives * negatives)

    def standard_error(self) -> float:
        """Of an AUROC of one half, counting patients and not images (Hanley and McNeil 1982)."""
        positives, negatives = self.positive_patients, max(1, self.negative_patients)
        return math.sqrt((positives + negatives + 1) / (12 * positives * negatives))


def check_scores(predictions: Predictions, *, are_ours: bool = False) -> list[Diagnosis]:
    """Everything that scores beside labels give away, the gravest first.

    ``are_ours``: they come straight out of our network, where nobody can have cut or rounded them.
    """
    columns = [_column(predictions, place) for place in range(len(predictions.findings))]
    judged = [column for column in columns if column.has_both]
    is_hard = _is_constant if are_ours else _is_hard
    hard = [column for column in judged if is_hard(column.scores_K)]
    soft = [column for column in judged if column not in hard]
    rounded = [] if are_ours else [column for column in soft if _is_rounded(column)]
    swapped = list(_swapped(predictions, soft))
    return [
        *(_constant(hard) if are_ours else _hard(hard)),
        *_sigmoid_twice(soft),
        *swapped,
        *([] if swapped else _inverted(soft)),
        *_rounded(rounded),
        *_saturated([column for column in soft if column not in rounded]),
    ]


def tie_share(present_K: NDArray[np.bool_], scores_K: NDArray[np.float64]) -> float:
    """Share of pairs of a positive and a negative image whose scores are equal."""
    _, value_K = np.unique(scores_K, return_inverse=True)
    positives_V = np.bincount(value_K, weights=present_K)
    negatives_V = np.bincount(value_K, weights=~present_K)
    pairs = float(positives_V.sum() * negatives_V.sum())
    return float((positives_V * negatives_V).sum()) / pairs if pairs else 0.0


def _column(predictions: Predictions, place: int) -> _Column:
    labels_N = predictions.labels_NF[:, place]
    known_N = ~np.isnan(labels_N)
    patients_N = predictions.patients
    return _Column(
        finding=predictions.findings[place],
        present_K=labels_N[known_N] == PRESENT,
        scores_K=predictions.scores_NF[known_N, place].astype(np.float64),
        positive_patients=_num_patients(patients_N[known_N & (labels_N == PRESENT)]),
        negative_patients=_num_patients(patients_N[known_N & (labels_N == ABSENT)]),
    )


def _num_patients(patients_K: NDArray[np.int64]) -> int:
    """An image whose patient is unknown counts as a patient of its own."""
    known = patients_K[patients_K >= 0]
    return len(np.unique(known)) + len(patients_K) - len(known)


def _is_constant(scores_K: NDArray[np.float64]) -> bool:
    return len(np.unique(scores_K)) == 1


def _is_hard(scores_K: NDArray[np.float64]) -> bool:
    values = np.unique(scores_K)
    of_integers = bool((values == np.round(values)).all())
    return len(values) == 1 or (
        len(values) == 2 and of_integers and len(scores_K) >= _ENOUGH_IMAGES
    )


def _is_rounded(column: _Column) -> bool:
    few = len(np.unique(column.scores_K)) <= _FEW_VALUES_SHARE * len(column.scores_K)
    return few and tie_share(column.present_K, column.scores_K) > _MANY_TIES


def _hard(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    if not columns:
        return
    values = np.unique(np.concatenate([np.unique(column.scores_K) for column in columns]))
    of_integers = bool((values == np.round(values)).all())
    ties = [tie_share(column.present_K, column.scores_K) for column in columns]
    ones = float(np.mean([(column.scores_K >= 1).mean() for column in columns]))
    how = "constant, or of two values"
    if of_integers and ones < _FEW_ONES:
        how = "cut to integers (.astype(int) makes 0 of every probability below 1)"
    elif of_integers:
        how = "thresholded (such as > 0.5) or rounded to 0 and 1"
    yield Diagnosis(
        check="scores-hard",
        severity=Severity.WARNING,
        text=f"The scores of {_names(columns)} are {how}, and an AUROC of these is not the "
        "network's: it needs the probabilities.",
        evidence={
            "findings": len(columns),
            "distinct_scores": max(len(np.unique(column.scores_K)) for column in columns),
            "tied_pairs": round(float(np.mean(ties)), 4),
            "mean_auroc": round(float(np.mean([column.area() for column in columns])), 4),
        },
        remedy="Score the probabilities as they come out of the sigmoid: leave out .astype(int), "
        ".round() and any threshold before the AUROC.",
    )


def _constant(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    if columns:
        yield Diagnosis(
            check="scores-constant",
            severity=Severity.WARNING,
            text=f"The network gives the same probability of {_names(columns)} to every image.",
            evidence={"findings": len(columns), "score": float(columns[0].scores_K[0])},
            remedy="Look for outputs without bounds (a lower train.learning_rate), or for images "
            "that are all the same.",
        )


def _rounded(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    if columns:
        worst = max(columns, key=lambda column: tie_share(column.present_K, column.scores_K))
        yield Diagnosis(
            check="scores-rounded",
            severity=Severity.WARNING,
            text=f"The scores of {_names(columns)} have few distinct values, as if they were "
            "rounded or kept in half precision: ties cost AUROC.",
            evidence={
                "tied_pairs": round(tie_share(worst.present_K, worst.scores_K), 4),
                "distinct_scores": len(np.unique(worst.scores_K)),
            },
            remedy="Keep scores in float32 from the head on, and write them with all their digits.",
        )


def _sigmoid_twice(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    if not columns or sum(len(column.scores_K) for column in columns) < _ENOUGH_IMAGES:
        return
    low = min(float(column.scores_K.min()) for column in columns)
    high = max(float(column.scores_K.max()) for column in columns)
    prevalence = float(np.mean([column.present_K.mean() for column in columns]))
    if low >= _SIGMOID_OF_0 and high <= _SIGMOID_OF_1 and prevalence < _SIGMOID_OF_0:
        yield Diagnosis(
            check="sigmoid-twice",
            severity=Severity.WARNING,
            text="Every score lies between 0.50 and 0.73, which is what a sigmoid makes of "
            "probabilities: it was applied twice.",
            evidence={
                "lowest": round(low, 4),
                "highest": round(high, 4),
                "prevalence": round(prevalence, 4),
            },
            remedy="Apply the sigmoid once: a loss with logits wants none before it, and scores "
            "want one after it.",
        )


def _saturated(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    shares = {
        column.finding: float(np.mean((column.scores_K == 0) | (column.scores_K == 1)))
        for column in columns
    }
    full = [column for column in columns if shares[column.finding] > _MANY_SATURATED]
    if full:
        yield Diagnosis(
            check="scores-saturated",
            severity=Severity.WARNING,
            text=f"Many probabilities of {_names(full)} are exactly 0 or 1: the order among these "
            "images is lost.",
            evidence={"share": round(max(shares.values()), 4)},
            remedy="Take the sigmoid in float64 of logits in float32; where logits are huge, lower "
            "the learning rate.",
        )


def _inverted(columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    able = [column for column in columns if column.positive_patients >= ENOUGH_PATIENTS]
    if not able:
        return
    critical = float(norm.ppf(1 - _BEYOND_CHANCE / (2 * len(able))))
    below = {
        column.finding: area
        for column in able
        if (area := column.area()) < 0.5 - critical * column.standard_error()
    }
    if below:
        lowest = min(below, key=lambda finding: below[finding])
        yield Diagnosis(
            check="scores-inverted",
            severity=Severity.WARNING,
            text=f"The scores of {listed(list(below))} are lower for positive images, beyond "
            "chance: they look inverted.",
            evidence={"finding": lowest, "auroc": round(below[lowest], 4), "findings": len(below)},
            remedy="Check the sign: a score is the probability that the finding is present, and "
            "label 1 means present.",
        )


def _swapped(predictions: Predictions, columns: Sequence[_Column]) -> Iterator[Diagnosis]:
    able = [column for column in columns if column.positive_patients >= ENOUGH_PATIENTS]
    if len(able) < 2:
        return
    area_LS = _areas(predictions, able)
    own_L = np.diag(area_LS)
    _, best_L = linear_sum_assignment(area_LS, maximize=True)
    gain_L = area_LS[np.arange(len(able)), best_L] - own_L
    noise_L = np.array([column.standard_error() for column in able])
    moved = [
        label
        for label in range(len(able))
        if best_L[label] != label
        and gain_L[label] > max(_WORTH_SWAPPING, 2 * noise_L[label])
        and own_L[label] + gain_L[label] > _GOOD_ELSEWHERE
    ]
    if len(moved) < 2:
        return
    own_wins = int((own_L >= area_LS.max(axis=1)).sum())
    told = [
        f"{able[label].finding} in the column of {able[best_L[label]].finding}" for label in moved
    ]
    yield Diagnosis(
        check="columns-swapped",
        severity=Severity.WARNING,
        text=f"Scores stand in the wrong columns: {listed(told, most=3)}.",
        evidence={
            "own_column_wins": own_wins,
            "of_findings": len(able),
            "mean_auroc": round(float(own_L.mean()), 4),
            "mean_auroc_if_moved": round(float((own_L + gain_L).mean()), 4),
        },
        remedy="Write the columns in the order of the head's outputs: an alphabetical list of "
        "findings is not NIH's order.",
    )


def _areas(predictions: Predictions, able: Sequence[_Column]) -> NDArray[np.float64]:
    """AUROC of every label [row] against every score column, over the label's known images."""
    places = [predictions.findings.index(column.finding) for column in able]
    area_LS = np.empty((len(able), len(able)))
    for row, column in enumerate(able):
        known_N = ~np.isnan(predictions.labels_NF[:, places[row]])
        for other, place in enumerate(places):
            scores_K = predictions.scores_NF[known_N, place].astype(np.float64)
            area_LS[row, other] = column.area(scores_K)
    return area_LS


def _names(columns: Sequence[_Column]) -> str:
    return listed([column.finding for column in columns])
