"""The gap between a group's figure and that of the rest, with an interval and a p value.

Patients with images on both sides correlate the two figures; patients with images on one side alone
leave them independent, as ``placements.samples_interval`` takes them. A share's gap has the
interval of Zou and Donner 2008 (Statistics in Medicine 27:1693), made from the two shares' own ends
and that correlation, since near 0 and 1 a symmetric one fails; its p value is the level at which
this interval ends at 0. AUROC and calibration in the large use Student's t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.evaluation.confidence import (
    CONFIDENCE,
    Interval,
    Spread,
    degrees_of_a_mean,
    plain_interval,
    share_interval,
)
from core.evaluation.subgroups.estimates import Estimate

_HALVINGS = 40
_LEAST_TAIL = 1e-12


@dataclass(frozen=True)
class Gap:
    """``value`` is the group's figure minus the rest's."""

    value: float
    interval: Interval | None
    p: float | None


def gap_between(group: Estimate, rest: Estimate, *, on_logits: bool) -> Gap:
    """The gap of two figures over the same P patients.

    ``on_logits``: make the interval from the figures' own, on the logit scale (shares).
    """
    together = _correlation(group, rest)
    if on_logits:
        return _of_shares(group, rest, together)
    first, second = group.spread.error, rest.spread.error
    variance = first**2 + second**2 - 2 * together * first * second
    if not variance > 0:
        return Gap(group.value - rest.value, None, None)
    degrees = degrees_of_a_mean([group.spread, rest.spread])
    value, spread = group.value - rest.value, Spread(math.sqrt(variance), degrees + 1)
    return Gap(value, plain_interval(value, spread), 2 * _below(-abs(value), spread))


def _correlation(group: Estimate, rest: Estimate) -> float:
    """Of the two figures, by the patients that both contain."""
    both = float(group.left_P @ rest.left_P)
    alone = math.sqrt(float(group.left_P @ group.left_P) * float(rest.left_P @ rest.left_P))
    return max(-1.0, min(1.0, both / alone)) if alone > 0 else 0.0


def _of_shares(group: Estimate, rest: Estimate, together: float) -> Gap:
    value = group.value - rest.value
    interval = _ends(group, rest, together, (1 - CONFIDENCE) / 2)
    if interval is None:
        return Gap(value, None, None)
    if value == 0:
        return Gap(value, interval, 1.0)

    def leaves_zero_out(tail: float) -> bool:
        ends = _ends(group, rest, together, tail)
        return ends is not None and (ends[0] > 0 or ends[1] < 0)

    low, high = math.log(_LEAST_TAIL), math.log(0.5)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if leaves_zero_out(math.exp(middle)) else (middle, high)
    return Gap(value, interval, min(1.0, 2 * math.exp(high)))


def _ends(group: Estimate, rest: Estimate, together: float, tail: float) -> Interval | None:
    first = share_interval(group.value, group.spread, tail)
    second = share_interval(rest.value, rest.spread, tail)
    if first is None or second is None:
        return None

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * together * one * other))

    value = group.value - rest.value
    below = reach(group.value - first[0], second[1] - rest.value)
    above = reach(first[1] - group.value, rest.value - second[0])
    return value - below, value + above


def _below(value: float, spread: Spread) -> float:
    from scipy.special import stdtr

    return float(stdtr(spread.effective - 1, value / spread.error))
