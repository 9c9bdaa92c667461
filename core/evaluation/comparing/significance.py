"""What a difference and its standard error say: p values, Holm's correction, equivalence, and how
many patients it would take to tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from core.evaluation.confidence import CONFIDENCE, Spread

LEVEL = 1 - CONFIDENCE
POWER = 0.8
"""The share of test parts in which a true difference should be told."""

Verdict = Literal["b better", "a better", "equal within margin", "can't tell"]
CANT_TELL: Verdict = "can't tell"


def two_sided_p(value: float, spread: Spread) -> float | None:
    """The probability of a difference at least as large if there were none.

    Student's t with the effective patients minus one degrees of freedom, as in the interval: p is
    below 0.05 exactly where the 95 % interval leaves 0 out. 1 for no difference at all; None if
    there is one, but nothing varies.
    """
    if not spread.error > 0:
        return 1.0 if value == 0 else None
    return min(1.0, 2 * _below(-abs(value) / spread.error, spread))


def equivalence_p(value: float, spread: Spread, margin: float) -> float | None:
    """The probability of such a difference if the true one were at least ``margin``.

    The larger p of two one-sided tests (Schuirmann 1987, J Pharmacokinet Biopharm 15:657). None
    if nothing varies.
    """
    if not spread.error > 0:
        return None
    return _below(-(margin - abs(value)) / spread.error, spread)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down p values (Holm 1979, Scand J Stat 6:65); undefined ones don't count."""
    tested = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def verdict(value: float | None, p: float | None, p_equal: float | None) -> Verdict:
    """The verdict of corrected p values; what is shown to be below the margin is called equal."""
    if p_equal is not None and p_equal <= LEVEL:
        return "equal within margin"
    if value is None or p is None or p > LEVEL:
        return CANT_TELL
    return "b better" if value > 0 else "a better"


def positives_needed(
    positive_patients: int,
    *,
    of_patients: float,
    of_seeds: float,
    difference: float,
    margin: float | None,
    tests: int,
) -> int | None:
    """Positive patients with which the verdict would be reached in 80 % of test parts.

    Without a margin: to tell a true difference as large as the one seen. With one: to show that
    models without any difference are equal within it. The variance over patients falls with their
    number, at the same share of positives; that over seeds doesn't. Normal quantiles at the level
    of Holm's first step.

    Args:
        positive_patients: those of this test part.
        of_patients, of_seeds: the two parts of the difference's variance.
        tests: findings that were tested.

    Returns:
        None if no number of patients would do.
    """
    from scipy.special import ndtri  # comes with scikit-learn; slow at the door

    level = LEVEL / max(1, tests)
    if margin is None:
        target = abs(difference) / float(ndtri(1 - level / 2) + ndtri(POWER))
    else:
        target = margin / float(ndtri(1 - level) + ndtri((1 + POWER) / 2))
    room = target**2 - of_seeds
    if not room > 0 or not of_patients > 0:
        return None
    needed = positive_patients * of_patients / room
    return max(positive_patients + 1, math.ceil(needed)) if needed < 1e9 else None


def _below(t: float, spread: Spread) -> float:
    from scipy.special import stdtr

    return float(stdtr(spread.effective - 1, t))
