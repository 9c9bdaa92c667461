"""Axis scales: positions of values, and round tick values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

FARTHEST = 1e100
"""Larger values can't be drawn: their differences and squares overflow."""

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, plain or logarithmic (then both are above 0)."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """The value on the axis: its decimal logarithm on a logarithmic one."""
        return math.log10(value) if self.log else value

    def share(self, value: float) -> float:
        """The position along the axis, 0..1; values outside are clipped."""
        low, high = self.place(self.low), self.place(self.high)
        return min(1.0, max(0.0, (self.place(value) - low) / (high - low)))

    def within(self, value: float) -> float:
        """The value, or the end of the axis that is nearest to it."""
        return min(self.high, max(self.low, value))

    def ticks(self, most: int) -> list[float]:
        """At most ``most`` round numbers within the axis."""
        if self.log and self.high / self.low >= 5:
            return _log_ticks(self.low, self.high, most)
        return _round_ticks(self.low, self.high, most)


def can_be_drawn(value: float) -> bool:
    """Whether a value can be drawn on any axis."""
    return math.isfinite(value) and abs(value) <= FARTHEST


def scale_over(values: Iterable[float], *, log: bool = False) -> Scale | None:
    """An axis that covers all drawable values; None if there are none."""
    shown = [v for v in values if can_be_drawn(v) and (v > 0 or not log)]
    if not shown:
        return None
    low, high = min(shown), max(shown)
    if low == high:
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    return Scale(low, high, log)


def tick_labels(ticks: list[float]) -> list[str]:
    """The labels, with enough decimals to distinguish all ticks."""
    if not ticks:
        return []
    if not 0.001 <= max(map(abs, ticks)) < 1e9:
        return [f"{tick:.3g}" for tick in ticks]
    for decimals in range(8):
        labels = [f"{tick:.{decimals}f}" for tick in ticks]
        if all(
            math.isclose(float(label), tick, rel_tol=1e-9, abs_tol=1e-12)
            for label, tick in zip(labels, ticks, strict=True)
        ):
            return labels
    return [f"{tick:.6g}" for tick in ticks]


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    size = 10.0 ** math.floor(math.log10((high - low) / max(1, most)))
    ticks: list[float] = []
    for factor in _ROUND:
        step = size * factor
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = [number * step for number in range(first, last + 1)]
        if len(ticks) <= most:
            break
    return ticks


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]
