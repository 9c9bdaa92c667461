"""How much a figure of two samples depends on each of their images, and its interval from that.

Each figure is a smooth function of the images' weights. Its derivative by them, summed over each
patient's images, is what the patient contributes to its error (the infinitesimal jackknife; Jaeckel
1972, Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6). A least log
loss has the derivative that it would have with its coefficients fixed, since they are at the least
(the envelope theorem). Weights to another mix of strata are those of post-stratification (Holt and
Smith 1979, JRSS A 142:33): an image counts by its distance from its stratum's mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import (
    Interval,
    Spread,
    degrees_of_a_mean,
    effective_patients,
    patient_codes,
    plain_interval,
    too_few,
    unequal_patients,
)
from core.evaluation.external.case_mix import MixWeights

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Dependence:
    """The derivative of a figure by the weight of each of K external and J internal images."""

    external_K: Floats
    internal_J: Floats

    def __sub__(self, other: Dependence) -> Dependence:
        """That of a difference of two figures."""
        return Dependence(self.external_K - other.external_K, self.internal_J - other.internal_J)


@dataclass(frozen=True, eq=False)
class Side:
    """Who has the images of one side, and how much each counts.

    Attributes:
        codes_K, num_patients: see ``patient_codes``.
        weights_K: the weight at which an image enters a figure.
    """

    present_K: Bools
    codes_K: NDArray[np.intp]
    num_patients: int
    weights_K: Floats

    @classmethod
    def of(cls, present_K: Bools, patients_K: NDArray[np.generic], weights_K: Floats) -> Side:
        """With its patients numbered."""
        return cls(present_K, *patient_codes(patients_K), weights_K)

    def spread(self, derivative_K: Floats) -> Spread:
        """The figure's standard error over these patients, and the rarer class's worth of them."""
        of_patients_P = np.bincount(self.codes_K, derivative_K, self.num_patients)
        too_small = max(unequal_patients(one_P) for one_P in self._weighed())
        error = math.sqrt(too_small * float(of_patients_P @ of_patients_P))
        return Spread(error, min(effective_patients(one_P) for one_P in self._weighed()))

    @property
    def is_too_small(self) -> bool:
        """Whether a class has too few patients for an interval."""
        kinds = ("positive", "negative")
        return any(too_few(kind, one) for kind, one in zip(kinds, self._weighed(), strict=True))

    def _weighed(self) -> list[Floats]:
        """Each patient's weight of positive, and of negative images."""
        return [
            np.bincount(self.codes_K[of_K], self.weights_K[of_K], self.num_patients).astype(
                np.float64
            )
            for of_K in (self.present_K, ~self.present_K)
        ]


def interval_of(value: float, by: Dependence, external: Side, internal: Side) -> Interval | None:
    """The interval of a figure of two samples that share no patient; None if nothing varies.

    The variances add up, with Satterthwaite's degrees of freedom.
    """
    spreads = [external.spread(by.external_K), internal.spread(by.internal_J)]
    varying = [spread for spread in spreads if spread.error > 0]
    if not varying:
        return None
    error = math.hypot(*(spread.error for spread in varying))
    return plain_interval(value, Spread(error, degrees_of_a_mean(varying) + 1))


def of_auroc(present_K: Bools, scores_K: Floats, weights_K: Floats) -> Floats:
    """The derivative of a weighted AUROC by each image's weight."""
    derivative_K = np.zeros(len(present_K))
    for of_K, sign in ((present_K, 1), (~present_K, -1)):
        outranked = _outranked(of_K, scores_K, weights_K)
        mean = float(np.average(outranked, weights=weights_K[of_K]))
        derivative_K[of_K] = sign * (outranked - mean) / weights_K[of_K].sum()
    return derivative_K


def of_log_loss(losses_K: Floats, weights_K: Floats) -> Floats:
    """The derivative of a weighted mean of losses by each image's weight."""
    derivative_K: Floats = (losses_K - np.average(losses_K, weights=weights_K)) / weights_K.sum()
    return derivative_K


def of_log_loss_at_prevalence(
    losses_K: Floats, present_K: Bools, weights_K: Floats, present_J: Bools
) -> Dependence:
    """The same where both classes are weighted to the internal prevalence."""
    wanted = float(present_J.mean())
    derivative_K = np.zeros(len(present_K))
    means = []
    for of_K, share in ((present_K, wanted), (~present_K, 1 - wanted)):
        mean = float(np.average(losses_K[of_K], weights=weights_K[of_K]))
        derivative_K[of_K] = share * (losses_K[of_K] - mean) / weights_K[of_K].sum()
        means.append(mean)
    by_prevalence = means[0] - means[1]
    return Dependence(derivative_K, by_prevalence * (present_J - wanted) / len(present_J))


def through_the_mix(by: Dependence, mix: MixWeights, patients_K: NDArray[np.generic]) -> Dependence:
    """The dependence of a figure whose external weights are those of a mix, in turn.

    A stratum of P patients shows (P − 1) / P of its variance, and that of a single one none of it:
    there an image counts by its distance from the mean of all.
    """
    if mix.weights_K is None or mix.strata_K is None or mix.strata_J is None:
        return by
    count = int(mix.strata_K.max()) + 1
    images_S = np.bincount(mix.strata_K, minlength=count)
    sum_S = np.bincount(mix.strata_K, by.external_K, count)
    pairs = np.unique(np.column_stack([mix.strata_K, patient_codes(patients_K)[0]]), axis=0)
    patients_S = np.bincount(pairs[:, 0], minlength=count)
    alone_S = patients_S == 1
    middle_S = np.where(alone_S, by.external_K.mean(), sum_S / images_S)
    wider_S = np.where(alone_S, 1, np.sqrt(patients_S / np.maximum(1, patients_S - 1)))
    apart_K = (by.external_K - middle_S[mix.strata_K]) * wider_S[mix.strata_K]
    covered_J = mix.strata_J >= 0
    by_share_S = len(mix.strata_K) / images_S * sum_S
    internal_J = np.where(covered_J, by_share_S[mix.strata_J], 0.0)
    internal_J[covered_J] -= internal_J[covered_J].mean()
    return Dependence(
        mix.weights_K * apart_K, by.internal_J + internal_J / max(1, int(covered_J.sum()))
    )


def _outranked(present_K: Bools, scores_K: Floats, weights_K: Floats) -> Floats:
    """The weight share of the other class that each image of this one outranks; ties a half."""
    order = np.argsort(scores_K[~present_K], kind="stable")
    others = scores_K[~present_K][order]
    below = np.concatenate([[0.0], np.cumsum(weights_K[~present_K][order])])
    ends = [np.searchsorted(others, scores_K[present_K], side) for side in ("left", "right")]
    share: Floats = (below[ends[0]] + below[ends[1]]) / (2 * below[-1])
    return share
