"""Checks of score values: hard, constant, rounded, clipped, sigmoid twice, softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.health.diagnosis import Diagnosis, Severity
from core.health.score_columns import Column, names_of

_ENOUGH_IMAGES = 20
_FEW_ONES = 0.001
_SIGMOID_OF_0, _SIGMOID_OF_1 = 0.5, 1 / (1 + math.exp(-1))
_MANY_SATURATED = 0.05
_MANY_TIES, _TIES_OF_FEW_DIGITS, _TIES_OF_MANY_DIGITS = 0.01, 0.002, 0.05
_FEW_DIGITS, _MOST_DIGITS = 3, 6
_MANY_AT_THE_END, _TIMES_THE_NEIGHBOURS, _NEIGHBOURS = 0.01, 10, 10
_NO_SPREAD = 1e-4
_SUM_IS_ONE = 0.01


def is_constant(column: Column) -> bool:
    """Whether every image has the same score."""
    return column.distinct == 1


def is_hard(column: Column) -> bool:
    """Whether the scores are constant, or two integers."""
    if column.distinct > 2:
        return False
    values = np.unique(column.scores_K)
    of_integers = bool((values == np.round(values)).all())
    return len(values) == 1 or (of_integers and len(column.scores_K) >= _ENOUGH_IMAGES)


def is_noise(column: Column) -> bool:
    """Whether the scores differ so little that they are noise and rank nothing.

    Half of them lie within a ten-thousandth of their magnitude. Scores squeezed as much that still
    rank the images don't count.
    """
    low, middle, high = np.quantile(column.scores_K, (0.25, 0.5, 0.75))
    size = max(abs(low), abs(middle), abs(high))
    return bool(high - low <= _NO_SPREAD * size) and column.interval()[0] < 0.5 + _MANY_SATURATED


def is_rounded(column: Column) -> bool:
    """Whether few digits or few bits cause ties that reduce AUROC.

    Ties only at the lowest and highest score don't count, unless all scores are decimals of few
    digits: rounding turns small probabilities into zeros.
    """
    if column.tie_share <= _TIES_OF_FEW_DIGITS:
        return False
    digits = _digits(column.scores_K)
    if digits is not None:
        return column.tie_share > _ties_allowed(digits)
    if column.tie_share <= _MANY_TIES:
        return False
    inner_K = (column.scores_K > column.scores_K.min()) & (column.scores_K < column.scores_K.max())
    kept = column.scores_K[inner_K]
    return len(np.unique(kept)) <= len(kept) / 2 and not is_clipped(column)


def is_clipped(column: Column) -> bool:
    """Whether many scores equal the lowest or highest, and far fewer the next ones."""
    return any(_piled(column.scores_K))


def check_hard(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Scores that are constant, thresholded or cut to integers."""
    if not columns:
        return
    values = np.unique(np.concatenate([np.unique(column.scores_K) for column in columns]))
    of_integers = bool((values == np.round(values)).all())
    ones = float(np.mean([(column.scores_K >= 1).mean() for column in columns]))
    how = "constant, or of two values"
    if of_integers and ones < _FEW_ONES:
        how = "cut to integers (.astype(int) turns every probability below 1 into 0)"
    elif of_integers:
        how = "thresholded (such as > 0.5) or rounded to 0 and 1"
    yield Diagnosis(
        check="scores-hard",
        severity=Severity.WARNING,
        text=f"The scores of {names_of(columns)} are {how}, and their AUROC is not the network's: "
        "it needs the probabilities.",
        evidence={
            "findings": len(columns),
            "distinct_scores": max(column.distinct for column in columns),
            "tied_pairs": round(float(np.mean([column.tie_share for column in columns])), 4),
            "mean_auroc": round(float(np.mean([column.area for column in columns])), 4),
        },
        remedy="Compute the AUROC from the probabilities as the sigmoid returns them: remove "
        ".astype(int), .round() and any threshold before it.",
    )


def check_constant(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Whether our own network gives every image the same probability."""
    if columns:
        yield Diagnosis(
            check="scores-constant",
            severity=Severity.WARNING,
            text=f"The network gives every image the same probability of {names_of(columns)}.",
            evidence={"findings": len(columns), "score": float(columns[0].scores_K[0])},
            remedy="Look for diverging outputs (lower train.learning_rate), or for images that are "
            "all the same.",
        )


def check_noise(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Columns of ``is_noise``."""
    if columns:
        first = columns[0]
        low, high = np.quantile(first.scores_K, (0.25, 0.75))
        yield Diagnosis(
            check="scores-constant",
            severity=Severity.WARNING,
            text=f"The scores of {names_of(columns)} are one number plus a little noise: their "
            "ranking says nothing about the images.",
            evidence={
                "findings": len(columns),
                "score": float(np.median(first.scores_K)),
                "half_within": float(high - low),
                "auroc": round(first.area, 4),
            },
            remedy="Check that this output was trained and loaded, and that its column wasn't "
            "filled from another array.",
        )


def check_rounded(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Columns of ``is_rounded``."""
    if columns:
        worst = max(columns, key=lambda column: column.tie_share)
        digits = _digits(worst.scores_K)
        how = "few distinct values, as if they were rounded or kept in half precision"
        if digits is not None:
            how = f"{digits or 'no'} digit{'' if digits == 1 else 's'} after the point"
        yield Diagnosis(
            check="scores-rounded",
            severity=Severity.WARNING,
            text=f"The scores of {names_of(columns)} have {how}: ties reduce AUROC.",
            evidence={
                "tied_pairs": round(worst.tie_share, 4),
                "distinct_scores": worst.distinct,
            },
            remedy="Keep scores in float32 from the head on, and write all their digits.",
        )


def check_saturated(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Probabilities of exactly 0 or 1."""
    full = [column for column in columns if _share_saturated(column) > _MANY_SATURATED]
    if full:
        yield Diagnosis(
            check="scores-saturated",
            severity=Severity.WARNING,
            text=f"Many probabilities of {names_of(full)} are exactly 0 or 1: the ranking of these "
            "images is lost.",
            evidence={"share": round(max(map(_share_saturated, full)), 4)},
            remedy="Compute the sigmoid in float64 from float32 logits; if logits are huge, lower "
            "the learning rate.",
        )


def check_clipped(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Scores clipped at a bound other than the sigmoid's own."""
    cut = [
        column
        for column in columns
        if _share_saturated(column) <= _MANY_SATURATED and is_clipped(column)
    ]
    if cut:
        worst = max(cut, key=lambda column: max(_shares_at_the_ends(column.scores_K)))
        at_low, at_high = _shares_at_the_ends(worst.scores_K)
        is_high = at_high >= at_low
        bound = float(worst.scores_K.max() if is_high else worst.scores_K.min())
        yield Diagnosis(
            check="scores-clipped",
            severity=Severity.WARNING,
            text=f"Scores of {names_of(cut)} are clipped: many of {worst.finding} are exactly "
            f"{bound:.6g}, the {'highest' if is_high else 'lowest'}, and the ranking of these "
            "images is lost.",
            evidence={
                "findings": len(cut),
                "bound": bound,
                "share": round(max(at_low, at_high), 4),
                "tied_pairs": round(worst.tie_share, 4),
            },
            remedy="Remove .clip(), .clamp() and any other bound before the AUROC.",
        )


def check_sigmoid_twice(columns: Sequence[Column]) -> Iterator[Diagnosis]:
    """Whether all scores are in the range of a sigmoid of probabilities."""
    if not columns or sum(len(column.scores_K) for column in columns) < _ENOUGH_IMAGES:
        return
    low = min(float(column.scores_K.min()) for column in columns)
    high = max(float(column.scores_K.max()) for column in columns)
    prevalence = float(np.mean([column.present_K.mean() for column in columns]))
    if low >= _SIGMOID_OF_0 and high <= _SIGMOID_OF_1 and prevalence < _SIGMOID_OF_0:
        yield Diagnosis(
            check="sigmoid-twice",
            severity=Severity.WARNING,
            text="Every score lies between 0.50 and 0.73, the range of a sigmoid of probabilities: "
            "it was applied twice.",
            evidence={
                "lowest": round(low, 4),
                "highest": round(high, 4),
                "prevalence": round(prevalence, 4),
            },
            remedy="Apply the sigmoid once: not before a loss that takes logits, and once for the "
            "scores.",
        )


def check_softmax(
    scores_NF: NDArray[np.floating], no_finding_N: NDArray[np.float64] | None = None
) -> Iterator[Diagnosis]:
    """Rows that sum to one, as if findings excluded each other, which these do not.

    ``no_finding_N``: scores of No Finding, which the softmax may have included.
    """
    images, findings = scores_NF.shape
    if images < _ENOUGH_IMAGES or not np.ptp(scores_NF, axis=0).any():
        return
    beside = ""
    sums_N = None if findings < 2 else _sums_of_one(scores_NF)
    if sums_N is None and no_finding_N is not None:
        beside = " and that of No Finding"
        sums_N = _sums_of_one(np.column_stack([scores_NF, no_finding_N]))
    if sums_N is None:
        return
    yield Diagnosis(
        check="scores-softmax",
        severity=Severity.WARNING,
        text=f"The {findings} scores{beside} of each image sum to one, as after a softmax: one "
        "finding then lowers another, though an image can show several, and AUROC falls.",
        evidence={
            "lowest_sum": round(float(sums_N.min()), 4),
            "highest_sum": round(float(sums_N.max()), 4),
            "findings": findings,
        },
        remedy="Use a sigmoid for each output instead of a softmax over all, in training too: "
        "binary cross entropy with logits, not cross entropy.",
    )


def _sums_of_one(scores_NC: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Row sums of probabilities or of exponentiated log-probabilities; None unless they are 1."""
    if bool((scores_NC <= 0).all()):
        scores_NC = np.exp(scores_NC)
    sums_N = scores_NC.sum(axis=1, dtype=np.float64)
    is_one = bool((scores_NC >= 0).all()) and float(np.abs(sums_N - 1).max()) <= _SUM_IS_ONE
    return np.asarray(sums_N, dtype=np.float64) if is_one else None


def _share_saturated(column: Column) -> float:
    return float(np.mean((column.scores_K == 0) | (column.scores_K == 1)))


def _digits(scores_K: NDArray[np.float64]) -> int | None:
    """Digits after the decimal point that suffice for every score; None if there are many."""
    for digits in range(_MOST_DIGITS + 1):
        scaled_K = scores_K * 10**digits
        # The error of a rounded number that is stored in float32.
        allowed_K = np.minimum(0.1, 1e-9 + 1e-7 * np.abs(scaled_K))
        if bool((np.abs(scaled_K - np.round(scaled_K)) <= allowed_K).all()):
            return digits
    return None


def _ties_allowed(digits: int) -> float:
    """Share of ties allowed: few digits are a mistake in any case, more are common practice."""
    if digits <= _FEW_DIGITS:
        return _TIES_OF_FEW_DIGITS
    return _MANY_TIES if digits == _FEW_DIGITS + 1 else _TIES_OF_MANY_DIGITS


def _shares_at_the_ends(scores_K: NDArray[np.float64]) -> tuple[float, float]:
    low, high = scores_K.min(), scores_K.max()
    return float(np.mean(scores_K == low)), float(np.mean(scores_K == high))


def _piled(scores_K: NDArray[np.float64]) -> tuple[bool, bool]:
    """Whether far too many images have the lowest score, and the highest."""
    _, images_V = np.unique(scores_K, return_counts=True)
    if len(images_V) <= 2 * _NEIGHBOURS:
        return False, False
    least = max(_ENOUGH_IMAGES / 2, _MANY_AT_THE_END * len(scores_K))

    def is_pile(at_end: int, next_ones: NDArray[np.intp]) -> bool:
        return at_end >= least and at_end > _TIMES_THE_NEIGHBOURS * next_ones.mean()

    return (
        is_pile(int(images_V[0]), images_V[1 : _NEIGHBOURS + 1]),
        is_pile(int(images_V[-1]), images_V[-_NEIGHBOURS - 1 : -1]),
    )
