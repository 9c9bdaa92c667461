"""One figure of two groups of runs, and the difference between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.comparing.over_seeds import (
    OverSeeds,
    SeedsAndPatients,
    own_share,
    with_seeds,
)
from core.evaluation.comparing.placed_spread import difference_spread, mean_difference_spread
from core.evaluation.confidence import Interval, Spread, plain_interval, unequal_patients
from core.evaluation.placements import PlacedFinding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Differing:
    """One figure of groups A and B.

    Attributes:
        a, b: the figures of each group's runs.
        chance: the spread of the difference; None with too few patients for one.
        is_same: whether both rank all images alike, so that nothing differs in any sample.
    """

    a: OverSeeds
    b: OverSeeds
    chance: SeedsAndPatients | None
    is_same: bool = False

    @property
    def value(self) -> float:
        """B minus A."""
        return self.b.mean - self.a.mean

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval; None with too few patients, or if nothing varies."""
        if self.is_same:
            return 0.0, 0.0
        return None if self.chance is None else plain_interval(self.value, self.chance.spread)


def auroc_differing(
    placed_A: Sequence[PlacedFinding], placed_B: Sequence[PlacedFinding], *, is_same: bool
) -> Differing:
    """One finding's AUROC, from the placements of each group's runs."""
    mean_a, mean_b = PlacedFinding.mean_of(placed_A), PlacedFinding.mean_of(placed_B)
    difference = mean_b.minus(mean_a)
    a, b = (
        OverSeeds(
            tuple(one.value for one in placed),
            own_share([difference_spread(one.minus(mean)).error ** 2 for one in placed]),
        )
        for placed, mean in ((placed_A, mean_a), (placed_B, mean_b))
    )
    chance = None if difference.why_no_interval else with_seeds(difference_spread(difference), a, b)
    return Differing(a, b, chance, is_same)


def mean_auroc_differing(
    placed_AF: Sequence[Sequence[PlacedFinding]],
    placed_BF: Sequence[Sequence[PlacedFinding]],
    *,
    is_same: bool,
) -> Differing:
    """The mean AUROC over findings of the same patients, including their correlation.

    Every finding must have enough patients for an interval.
    """
    means = [_means_over_runs(placed_RF) for placed_RF in (placed_AF, placed_BF)]
    patients = mean_difference_spread([b.minus(a) for a, b in zip(*means, strict=True)])
    a, b = (
        OverSeeds(
            tuple(float(np.mean([one.value for one in placed_F])) for placed_F in placed_RF),
            own_share([_own_variance(placed_F, mean_F) for placed_F in placed_RF]),
        )
        for placed_RF, mean_F in zip((placed_AF, placed_BF), means, strict=True)
    )
    return Differing(a, b, with_seeds(patients, a, b), is_same)


def drawn_differing(
    values_A: Floats,
    values_B: Floats,
    drawn_AB: Floats,
    drawn_BB: Floats,
    placed: PlacedFinding,
    *,
    is_same: bool,
) -> Differing:
    """AUPRC, or specificity at a sensitivity, from draws of patients.

    Args:
        values_A, values_B: the figures of each group's runs.
        drawn_AB, drawn_BB: the same in B draws of the patients, one row per run.
        placed: any run's placements, which say how many patients are behind the figure.
    """
    spread, too_small = placed.spread, max(map(unequal_patients, placed.images_P2.T))
    a, b = (
        OverSeeds(
            tuple(values.tolist()),
            own_share([_variance(one_B - drawn.mean(axis=0)) * too_small for one_B in drawn]),
        )
        for values, drawn in ((values_A, drawn_AB), (values_B, drawn_BB))
    )
    variance = _variance(drawn_BB.mean(axis=0) - drawn_AB.mean(axis=0)) * too_small
    patients = Spread(math.sqrt(variance), spread.effective)
    enough = placed.why_no_interval is None and drawn_AB.shape[1] > 1
    return Differing(a, b, with_seeds(patients, a, b) if enough else None, is_same)


def _means_over_runs(placed_RF: Sequence[Sequence[PlacedFinding]]) -> list[PlacedFinding]:
    return [PlacedFinding.mean_of(placed_R) for placed_R in zip(*placed_RF, strict=True)]


def _own_variance(placed_F: Sequence[PlacedFinding], mean_F: Sequence[PlacedFinding]) -> float:
    own = [one.minus(mean) for one, mean in zip(placed_F, mean_F, strict=True)]
    return mean_difference_spread(own).error ** 2


def _variance(values_B: Floats) -> float:
    defined_B = values_B[np.isfinite(values_B)]
    return float(defined_B.var(ddof=1)) if len(defined_B) > 1 else 0.0
