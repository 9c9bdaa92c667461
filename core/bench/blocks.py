"""Rates measured in short alternating blocks, so that a busy moment affects all of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Blocks:
    """A figure measured once per block: a rate in images per second, or a ratio of two rates."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lowest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest."""
        return max(self.values)

    def over(self, other: Blocks) -> Blocks:
        """The ratio of this rate to the other, block by block."""
        pairs = zip(self.values, other.values, strict=True)
        return Blocks(tuple(own / others for own, others in pairs))

    def times(self, factor: float) -> Blocks:
        """Each value times a factor."""
        return Blocks(tuple(factor * value for value in self.values))

    def as_json(self) -> dict[str, Any]:
        """Median, lowest, highest and number of blocks."""
        return {
            "median": _rounded(self.median),
            "low": _rounded(self.low),
            "high": _rounded(self.high),
            "blocks": len(self.values),
        }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
