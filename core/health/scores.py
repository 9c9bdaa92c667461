"""Checks of scores beside labels, anybody's: what their values, order and rows give away.

AUROC asks only for the order of scores, and every one of these mistakes spoils or hides the order
while the loss, the network and the labels are all in order. ``score_values`` looks at the values,
``score_ranking`` at the order, ``score_rows`` at the rows; all count patients
(``score_columns``), and a graver answer takes the place of those that it explains.
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
"""Positive patients from which a finding's AUROC within a view can speak."""

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
"""What ``check_scores`` and ``check_our_scores`` may answer."""


def check_scores(
    predictions: Predictions,
    *,
    filed: FiledRows | None = None,
    no_finding: NDArray[np.float64] | None = None,
    labels_were_mined: bool = False,
) -> list[Diagnosis]:
    """Everything that anybody's scores beside labels give away, the gravest first.

    Args:
        predictions: the images scored.
        filed: the rows as the file has them, where that is known; else as ``predictions`` has them.
        no_finding: the file's scores of No Finding, of the same images, where it has any.
        labels_were_mined: the labels are NIH's, of which some are wrong, so that an AUROC of 1
            can't be.
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
    """The same of scores that come straight out of our network, where nobody can have cut them.

    ``in_training``: of an epoch, where a network may still be at chance.
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
    """Rows first: what they spoil looks like every other fault of order."""
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
