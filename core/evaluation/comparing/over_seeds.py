"""How much of a difference is chance: of patients, and of seeds.

The figures of a group's k runs vary for two reasons. Other patients would have given all of them
another figure, and each its own again; another seed would have given another network. The variance
over patients of the group's mean, V, comes from placements or draws; S² is the variance of the k
figures, with the factor k / (k − 1) that k seeds drawn from a larger number of seeds need. S² also
holds the part I of the variance over patients that each run has for itself, which V counts already,
so a group's mean varies by

    V + max(0, S² − I) / k

a two-way random effects model, runs by patients, by its moments (Searle, Casella and McCulloch
1992, Variance Components, chapter 4; for readers instead of seeds, Obuchowski and Rockette 1995,
Commun Stat Simul 24:285). The degrees of freedom are those of Welch and Satterthwaite, with k − 1
for each S².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.evaluation.confidence import Spread


@dataclass(frozen=True)
class OverSeeds:
    """The figures of one group's runs.

    Attributes:
        values: one figure per run.
        own_patients: I, the mean variance over patients of a run's figure minus the group's mean,
            times k / (k − 1); 0 for one run.
    """

    values: tuple[float, ...]
    own_patients: float

    @property
    def runs(self) -> int:
        """k."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The group's figure."""
        return float(np.mean(self.values))

    @property
    def variance(self) -> float | None:
        """S², or None for a single run."""
        return float(np.var(self.values, ddof=1)) if self.runs > 1 else None

    @property
    def deviation(self) -> float | None:
        """S, the spread over seeds, or None for a single run."""
        return None if self.variance is None else math.sqrt(self.variance)


@dataclass(frozen=True)
class SeedsAndPatients:
    """The spread of a difference of two groups' means, and its parts.

    Attributes:
        spread: with seeds, if a group has several runs.
        of_patients, of_seeds: the two parts of the variance.
    """

    spread: Spread
    of_patients: float
    of_seeds: float


def with_seeds(patients: Spread, a: OverSeeds, b: OverSeeds) -> SeedsAndPatients:
    """Add the variance over seeds to that over patients.

    If one group has a single run, the other's spread over seeds stands for both. With two single
    runs only patients vary: the verdict is about these two networks.

    Args:
        patients: the spread over patients of the difference of the groups' means.
    """
    of_patients = patients.error**2
    several = [group for group in (a, b) if group.runs > 1]
    if not several:
        return SeedsAndPatients(patients, of_patients, 0.0)
    of_seeds = uncertain = 0.0
    for group in several:
        assert group.variance is not None
        # A single run borrows the spread of the other group's.
        share = 1 / group.runs if len(several) == 2 else 1 / a.runs + 1 / b.runs
        of_seeds += max(0.0, group.variance - group.own_patients) * share
        uncertain += (group.variance * share) ** 2 / (group.runs - 1)
    whole = of_patients + of_seeds
    uncertain += of_patients**2 / (patients.effective - 1)
    degrees = whole**2 / uncertain if uncertain > 0 else patients.effective - 1
    spread = Spread(math.sqrt(whole), 1 + min(degrees, _most(patients, several)))
    return SeedsAndPatients(spread, of_patients, of_seeds)


def own_share(variances: Sequence[float]) -> float:
    """I, from each run's variance over patients of its figure minus the group's mean."""
    runs = len(variances)
    return float(np.mean(variances)) * runs / (runs - 1) if runs > 1 else 0.0


def _most(patients: Spread, several: Sequence[OverSeeds]) -> float:
    """Satterthwaite's degrees never exceed the sum of their parts'."""
    return patients.effective - 1 + sum(group.runs - 1 for group in several)
