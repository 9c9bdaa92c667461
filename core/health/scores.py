"""Checks of scores and labels, from any program: values, ranking and rows.

AUROC needs only the ranking, and each of these mistakes damages or hides the ranking while loss,
network and labels are fine. ``score_values`` checks the values, ``score_ranking`` the ranking,
``score_rows`` the rows. All count patients (``score_columns``), and a more severe diagnosis
replaces those that it explains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.joining import FiledRows
from core.evaluation.predictions import Predictions
from core.health.diagnosis import Diagnosis, Severity
from core.health.score_columns import Column, columns_of, mean_area
from core.health.score_ranking import (
    check_chance,
    check_inverted,
    check_swapped,
    check_too_good,
    inverted,
)
from core.health.score_rows import check_order, check_signature, ranks_of
from core.health.score_values import (
    check_clipped,
    check_constant,
    check_hard,
    check_noise,
    check_rounded,
    check_saturated,
    check_sigmoid_twice,
    check_softmax,
    is_constant,
    is_hard,
    is_noise,
    is_rounded,
)

ENOUGH_PATIENTS = 30
"""Least number of positive patients for a finding's AUROC within a view position."""

SCORE_CHECKS = (
    "rows-misaligned",
    "scores-hard",
    "scores-constant",
    "scores-softmax",
    "scores-too-good",
    "scores-rounded",
    "scores-saturated",
    "scores-clipped",
    "scores-inverted",
    "scores-at-chance",
    "sigmoid-twice",
    "columns-swapped",
)
"""The checks that ``check_scores`` and ``check_our_scores`` run."""


def check_scores(
    predictions: Predictions,
    *,
    filed: FiledRows | None = None,
    no_finding: NDArray[np.float64] | None = None,
    labels_were_mined: bool = False,
) -> list[Diagnosis]:
    """All checks of scores from any program; the most severe diagnosis comes first.

    Args:
        predictions: the images scored.
        filed: the rows in the file's order, if known; else the order of ``predictions``.
        no_finding: the file's scores of No Finding for the same images, if it has any.
        labels_were_mined: whether the labels are NIH's; some are wrong, so an AUROC of 1 is
            impossible.
    """
    filed = filed or FiledRows(predictions, np.arange(len(predictions.images)))
    judged = [column for column in columns_of(predictions) if column.has_both]
    hard = [column for column in judged if is_hard(column)]
    noise = [column for column in judged if column not in hard and is_noise(column)]
    soft = [column for column in judged if column not in hard and column not in noise]
    rounded = [column for column in soft if is_rounded(column)]
    whole = [column for column in soft if column not in rounded]
    return [
        *check_hard(hard),
        *check_noise(noise),
        *check_sigmoid_twice(soft),
        *check_softmax(predictions.scores_NF, no_finding),
        *(check_too_good(judged) if labels_were_mined else ()),
        *_of_order(predictions, soft, filed),
        *check_rounded(rounded),
        *check_saturated(whole),
        *check_clipped(whole),
    ]


def check_our_scores(predictions: Predictions, *, in_training: bool = False) -> list[Diagnosis]:
    """The same for scores directly from our network, which nothing can have thresholded.

    ``in_training``: whether they are of an epoch; the network may then still be at chance.
    """
    judged = [column for column in columns_of(predictions) if column.has_both]
    constant = [column for column in judged if is_constant(column)]
    soft = [column for column in judged if column not in constant]
    swapped = list(check_swapped(predictions, soft))
    below = inverted(soft)
    return [
        *check_constant(constant),
        *(swapped or check_inverted(below)),
        *([] if in_training else check_chance(_without(soft, below), Severity.NOTE)),
        *check_saturated(soft),
    ]


def _of_order(predictions: Predictions, soft: list[Column], filed: FiledRows) -> list[Diagnosis]:
    """Check rows first: misaligned rows look like every other fault of the ranking."""
    if not soft:
        return []
    at_chance = list(check_chance(_without(soft, inverted(soft)), Severity.WARNING))
    of_mean = bool(at_chance) and "mean_auroc" in at_chance[0].evidence
    ranks_MF = ranks_of(filed)
    lost = list(check_order(filed, ranks_MF)) or list(
        check_signature(filed, ranks_MF, mean_area(soft)[0], at_chance=of_mean)
    )
    if lost:
        return lost
    swapped = list(check_swapped(predictions, soft))
    return swapped or [*check_inverted(inverted(soft)), *at_chance]


def _without(columns: list[Column], others: list[Column]) -> list[Column]:
    return [column for column in columns if column not in others]
