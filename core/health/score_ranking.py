"""Checks of the ranking: at chance, inverted, in the wrong columns, too good."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.evaluation.placements import average_ranks
from core.evaluation.predictions import Predictions
from core.findings import ABSENT, PRESENT
from core.health.diagnosis import Diagnosis, Severity
from core.health.score_columns import FALSE_ALARMS, Column, mean_area, names_of
from core.health.words import listed

_AT_CHANCE, _ENOUGH_PATIENTS = 0.55, 10
_LOOKS_INVERTED = 0.45
_WORTH_SWAPPING, _GOOD_ELSEWHERE, _LIKELY = 0.05, 0.65, 0.2
_BEST_OF_A_FINDING, _BEST_MEAN = 0.98, 0.93
"""For labels mined from reports: the best published AUROC of a finding is 0.95, the best mean
0.85."""
_TOO_GOOD, _FINDINGS_OF_A_MEAN = 0.995, 3
_ON_TOP, _LIKELY_ON_TOP = 0.001, 0.5


def is_at_chance(area: float, interval: tuple[float, float]) -> bool:
    """Whether an AUROC's interval contains one half and is narrow enough to conclude that."""
    return area > _LOOKS_INVERTED and interval[1] < _AT_CHANCE


def check_chance(columns: Sequence[Column], severity: Severity) -> Iterator[Diagnosis]:
    """Uninformative scores: for all findings together, or for single ones."""
    if not columns:
        return
    mean, interval = mean_area(columns)
    of_mean = len(columns) > 1 and is_at_chance(mean, interval)
    at_chance = [
        column
        for column in columns
        if column.effective_positive_patients >= _ENOUGH_PATIENTS
        and is_at_chance(column.area, column.interval(len(columns)))
    ]
    if of_mean:
        text = f"The scores of all {len(columns)} findings are at chance: they are unrelated to "
        text += "the images."
        evidence = {"mean_auroc": mean, "interval_low": interval[0], "interval_high": interval[1]}
    elif at_chance:
        text = f"The scores of {names_of(at_chance)} are at chance, for enough patients to tell."
        first = max(at_chance, key=lambda column: column.effective_positive_patients)
        evidence = {
            "auroc": first.area,
            "interval_low": first.interval(len(columns))[0],
            "interval_high": first.interval(len(columns))[1],
            "positive_patients": first.positive_patients,
        }
    else:
        return
    yield Diagnosis(
        check="scores-at-chance",
        severity=severity,
        text=text,
        evidence={name: round(value, 4) for name, value in evidence.items()},
        remedy="Check that these columns hold the network's outputs, row by row; if they do, the "
        "network has not learnt these findings.",
    )


def inverted(columns: Sequence[Column]) -> list[Column]:
    """Columns that rank positive images significantly low, however few the patients."""
    return [
        column
        for column in columns
        if column.area < _LOOKS_INVERTED
        and column.probability_below_chance() < FALSE_ALARMS / len(columns)
    ]


def check_inverted(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Columns of ``inverted``."""
    if columns:
        lowest = min(columns, key=lambda column: column.area)
        yield Diagnosis(
            check="scores-inverted",
            severity=Severity.WARNING,
            text=f"The scores of {names_of(columns)} are significantly lower for positive images: "
            "they look inverted.",
            evidence={
                "finding": lowest.finding,
                "auroc": round(lowest.area, 4),
                "positive_patients": lowest.positive_patients,
                "findings": len(columns),
            },
            remedy="Check the sign: a score is the probability that the finding is present, and "
            "label 1 means present.",
        )


def check_swapped(predictions: Predictions, columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Columns in the wrong order: labels that another column's scores rank better."""
    if len(columns) < 2:
        return
    from scipy.optimize import linear_sum_assignment  # comes with scikit-learn; slow at the door

    area_LS = _areas(predictions, columns)
    own_L = np.diag(area_LS)
    _, best_L = linear_sum_assignment(area_LS, maximize=True)
    gain_L = area_LS[np.arange(len(columns)), best_L] - own_L
    moved = [
        label
        for label in range(len(columns))
        if gain_L[label] > _WORTH_SWAPPING and own_L[label] + gain_L[label] > _GOOD_ELSEWHERE
    ]
    by_chance = {
        label: columns[label].probability_no_better(
            _scores_of(predictions, columns[label], columns[best_L[label]])
        )
        for label in moved
    }
    moved = [label for label in moved if by_chance[label] < _LIKELY]
    if len(moved) < 2 or not _is_beyond_chance([by_chance[at] for at in moved], len(columns)):
        return
    told = [
        f"{columns[label].finding} in the column of {columns[best_L[label]].finding}"
        for label in moved
    ]
    yield Diagnosis(
        check="columns-swapped",
        severity=Severity.WARNING,
        text=f"Scores are in the wrong columns: {listed(told, most=3)}.",
        evidence={
            "own_column_wins": int((own_L >= area_LS.max(axis=1)).sum()),
            "of_findings": len(columns),
            "mean_auroc": round(float(own_L.mean()), 4),
            "mean_auroc_if_moved": round(float((own_L + gain_L).mean()), 4),
        },
        remedy="Write the columns in the order of the head's outputs: an alphabetical list of "
        "findings is not NIH's order.",
    )


def check_too_good(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """An AUROC higher than labels mined from reports, with their errors, allow."""
    perfect = [
        column
        for column in columns
        if column.area >= _TOO_GOOD
        and min(_of_so_high_an_area(column), _of_so_many_on_top(column))
        < FALSE_ALARMS / len(columns)
    ]
    mean, (low, _) = mean_area(columns) if columns else (0.0, (0.0, 1.0))
    of_mean = len(columns) >= _FINDINGS_OF_A_MEAN and low > _BEST_MEAN
    if not perfect and not of_mean:
        return
    best = max(perfect or columns, key=lambda column: column.area)
    whose = "all findings together" if of_mean else names_of(perfect)
    yield Diagnosis(
        check="scores-too-good",
        severity=Severity.WARNING,
        text=f"The AUROC of {whose} is too good to be true: the labels were mined from reports, "
        "some are wrong, and no network trained on other patients can know which.",
        evidence={
            "mean_auroc": round(mean, 4),
            "finding": best.finding,
            "auroc": round(best.area, 4),
            "positive_patients": best.positive_patients,
        },
        remedy="Check whether labels were written instead of scores or added to them, and whether "
        "the network was trained on these images.",
    )


def _of_so_high_an_area(column: Column) -> float:
    """Probability of this AUROC if the best published one is true (Hanley and McNeil 1982).

    Only the variance from positive patients counts: there are many negatives.
    """
    from scipy.special import ndtr

    best = _BEST_OF_A_FINDING
    variance = best / (2 - best) - best**2
    error = math.sqrt(variance / max(1.0, column.effective_positive_patients))
    return float(ndtr((best - column.area) / error))


def _of_so_many_on_top(column: Column) -> float:
    """Probability of this many patients on top if the best published AUROC is true.

    A patient is on top if the lowest positive image is above 99.9 % of the negatives. With normal
    scores and the best AUROC, that holds for two patients in five.
    """
    from scipy.special import bdtrc

    lowest_P = column.lowest_shares_below
    on_top = int(np.sum(lowest_P >= 1 - _ON_TOP))
    return float(bdtrc(on_top - 1, len(lowest_P), _LIKELY_ON_TOP)) if on_top else 1.0


def _is_beyond_chance(probabilities: Sequence[float], num_columns: int) -> bool:
    """Fisher's combined test, corrected for the number of ways to choose and permute the
    columns."""
    from scipy.special import chdtrc

    moved = len(probabilities)
    statistic = -2 * sum(math.log(max(probability, 1e-300)) for probability in probabilities)
    ways = math.perm(num_columns, moved) / moved
    return float(chdtrc(2 * moved, statistic)) * ways < FALSE_ALARMS


def _scores_of(predictions: Predictions, label: Column, column: Column) -> NDArray[np.float64]:
    """Scores of ``column`` for the images whose label of ``label``'s finding is known."""
    known_N = ~np.isnan(predictions.labels_NF[:, label.place])
    return np.asarray(predictions.scores_NF[known_N, column.place], dtype=np.float64)


def _areas(predictions: Predictions, columns: Sequence[Column]) -> NDArray[np.float64]:
    """AUROC of every label [row] against every score column, over the label's known images."""
    places = [column.place for column in columns]
    labels_NL = predictions.labels_NF[:, places]
    scores_NS = predictions.scores_NF[:, places].astype(np.float64)
    if np.isnan(labels_NL).any():
        return np.stack(
            [_areas_of_ranks(labels_NL[:, [row]], scores_NS)[0] for row in range(len(columns))]
        )
    return _areas_of_ranks(labels_NL, scores_NS)


def _areas_of_ranks(
    labels_NL: NDArray[np.float32], scores_NS: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same, without images of unknown label, which the labels must have in common."""
    known_N = ~np.isnan(labels_NL).any(axis=1)
    ranks_KS = average_ranks(scores_NS[known_N])
    present_KL = (labels_NL[known_N] == PRESENT).astype(np.float64)
    positives_L = present_KL.sum(axis=0)
    negatives_L = (labels_NL[known_N] == ABSENT).sum(axis=0)
    above_LS = present_KL.T @ ranks_KS - (positives_L * (positives_L + 1) / 2)[:, None]
    return np.asarray(above_LS / (positives_L * negatives_L)[:, None])
