"""Where a difference between two data sets comes from: a finding's AUROC and log loss.

The external images are first weighted to the internal mix of age decade, sex and view. What changes
with that is case mix. An AUROC can't be moved by prevalence or by any monotone recalibration, so
all else is the rest: other labels, other scanners, patients who differ within a stratum.

The log loss is taken apart further, in this order: the classes are weighted to the internal
prevalence and the intercept is fitted (``prevalence``), then the slope of the logits
(``calibration``; Cox 1958, Biometrika 45:562). The session's own test images are refitted too, and
what they gain is subtracted: a network that is miscalibrated at home is not blamed abroad.

Intervals take both sides as samples of patients, see ``core.evaluation.external.dependence``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.logistic import fitted, log_loss, logits_of, losses_of
from core.evaluation.external.case_mix import CaseMix, MixWeights, mix_weights
from core.evaluation.external.dependence import (
    Dependence,
    Side,
    interval_of,
    of_auroc,
    of_log_loss,
    of_log_loss_at_prevalence,
    through_the_mix,
)
from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.metrics import auroc
from core.findings import PRESENT

Floats = NDArray[np.float64]

AUROC_PARTS = ("case_mix", "rest")
LOG_LOSS_PARTS = ("case_mix", "prevalence", "calibration", "rest")


@dataclass(frozen=True, eq=False)
class Sample:
    """A finding's known images of one side; K of them, with their rows among all."""

    rows_K: NDArray[np.int64]
    present_K: NDArray[np.bool_]
    logits_K: Floats
    scores_K: Floats
    patients_K: NDArray[Any]

    @classmethod
    def of(
        cls,
        labels_N: NDArray[Any],
        scores_N: NDArray[Any],
        patients_N: NDArray[Any] | None = None,
    ) -> Sample:
        """The images whose label is known; without patients, each is of its own."""
        rows_K = np.flatnonzero(~np.isnan(labels_N))
        scores_K = scores_N[rows_K].astype(np.float64)
        patients_K = rows_K if patients_N is None else patients_N[rows_K]
        present_K = labels_N[rows_K] == PRESENT
        return cls(rows_K, present_K, logits_of(scores_K), scores_K, patients_K)

    @property
    def has_both(self) -> bool:
        """Whether there are images with the finding and without it."""
        return bool(self.present_K.any() and not self.present_K.all())

    @property
    def prevalence(self) -> float:
        """Share of positive images."""
        return float(self.present_K.mean())


def because_of(
    external: Sample,
    internal: Sample | None,
    mix: CaseMix | None,
    *,
    with_intervals: bool = True,
) -> dict[str, Any]:
    """``because``, ``because_log_loss``, the log losses, and ``case_mix`` with what it rests on.

    Parts are null where they can't be known; those that are known sum to the difference. Each has
    an interval in ``because_ci`` and ``because_log_loss_ci``, null where it has none.
    """
    unknown: dict[str, Any] = {
        "because": dict.fromkeys(AUROC_PARTS),
        "because_ci": dict.fromkeys(AUROC_PARTS),
        "log_loss": rounded(log_loss(external.logits_K, external.present_K, None)),
        "internal_log_loss": None,
        "log_loss_difference": None,
        "log_loss_difference_ci": None,
        "because_log_loss": dict.fromkeys(LOG_LOSS_PARTS),
        "because_log_loss_ci": dict.fromkeys(LOG_LOSS_PARTS),
        "case_mix": {"covered": None, "effective_images": None, "note": None},
    }
    if internal is None or not len(internal.rows_K):
        return unknown
    own_loss = log_loss(internal.logits_K, internal.present_K, None)
    unknown["internal_log_loss"] = rounded(own_loss)
    if not len(external.rows_K):
        return unknown
    unknown["log_loss_difference"] = _apart(unknown["log_loss"], unknown["internal_log_loss"])
    if not (external.has_both and internal.has_both):
        return unknown
    weights = mix_weights(mix, external.rows_K, internal.rows_K)
    if weights.weights_K is not None and not _keeps_both(external, weights.weights_K):
        note = "images of one class have no counterpart among the session's test images"
        weights = MixWeights(None, weights.covered, note=note)
    fits = _Fits.of(external, internal, weights.weights_K)
    found = {
        **unknown,
        "because": _of_auroc(external, internal, weights.weights_K),
        "because_log_loss": _of_log_loss(external, internal, fits, unknown),
        "case_mix": {
            "covered": rounded(weights.covered),
            "effective_images": rounded(weights.effective_images),
            "note": weights.note or None,
        },
    }
    return found | _intervals(found, external, internal, fits, weights) if with_intervals else found


def _keeps_both(external: Sample, weights_K: Floats) -> bool:
    positive = weights_K[external.present_K].sum()
    return bool(positive > 0 and weights_K.sum() > positive)


def _of_auroc(
    external: Sample, internal: Sample, weights_K: Floats | None
) -> dict[str, float | None]:
    here, there, alike = (
        rounded(auroc(one.present_K.astype(float), one.scores_K, weights))
        for one, weights in ((external, None), (internal, None), (external, weights_K))
    )
    difference = _apart(here, there)
    if weights_K is None:
        return {"case_mix": None, "rest": difference}
    of_mix = _apart(here, alike)
    return {"case_mix": of_mix, "rest": _apart(difference, of_mix)}


@dataclass(frozen=True, eq=False)
class _Refit:
    """Logits with the intercept fitted, and with the slope fitted as well; their log losses."""

    shifted_K: Floats
    bent_K: Floats
    shifted: float
    bent: float


@dataclass(frozen=True, eq=False)
class _Fits:
    """Both sides refitted, and the external images' weights: to the mix, and to the prevalence."""

    mixed_K: Floats
    has_mix: bool
    here: _Refit
    there: _Refit

    @classmethod
    def of(cls, external: Sample, internal: Sample, weights_K: Floats | None) -> _Fits:
        present_K, wanted = external.present_K, internal.prevalence
        mixed_K = np.ones(len(present_K)) if weights_K is None else weights_K
        share = float(mixed_K[present_K].sum() / mixed_K.sum())
        to_wanted_K = np.where(present_K, wanted / share, (1 - wanted) / (1 - share))
        here = _refitted(external, mixed_K * to_wanted_K)
        there = _refitted(internal, np.ones(len(internal.present_K)))
        return cls(mixed_K, weights_K is not None, here, there)


def _of_log_loss(
    external: Sample, internal: Sample, fits: _Fits, losses: dict[str, Any]
) -> dict[str, float | None]:
    here, there = fits.here, fits.there
    mixed = log_loss(external.logits_K, external.present_K, fits.mixed_K)
    own = log_loss(internal.logits_K, internal.present_K, None)
    of_mix = None
    if fits.has_mix:
        of_mix = rounded(log_loss(external.logits_K, external.present_K, None) - mixed)
    prevalence = rounded((mixed - here.shifted) - (own - there.shifted))
    calibration = rounded((here.shifted - here.bent) - (there.shifted - there.bent))
    rest = losses["log_loss_difference"]
    for part in (of_mix, prevalence, calibration):
        rest = _apart(rest, part or 0.0)
    return {
        "case_mix": of_mix,
        "prevalence": prevalence,
        "calibration": calibration,
        "rest": rest,
    }


def _intervals(
    found: Mapping[str, Any],
    external: Sample,
    internal: Sample,
    fits: _Fits,
    weights: MixWeights,
) -> dict[str, Any]:
    """An interval of each part, from how its figures depend on the images."""
    sides = (
        Side.of(external.present_K, external.patients_K, fits.mixed_K),
        Side.of(internal.present_K, internal.patients_K, np.ones(len(internal.present_K))),
    )
    if any(side.is_too_small for side in sides):
        return {}
    of_auroc_part, of_loss_part = _parts_depend(external, internal, fits, weights)

    def ends(value: float | None, by: Dependence) -> list[float] | None:
        return None if value is None else rounded_interval(interval_of(value, by, *sides))

    of_loss, by_loss = found["because_log_loss"], of_loss_part
    return {
        "because_ci": {
            name: ends(found["because"][name], by) for name, by in of_auroc_part.items()
        },
        "because_log_loss_ci": {
            name: ends(of_loss[name], by_loss[name]) for name in LOG_LOSS_PARTS
        },
        "log_loss_difference_ci": ends(found["log_loss_difference"], by_loss["difference"]),
    }


def _parts_depend(
    external: Sample, internal: Sample, fits: _Fits, weights: MixWeights
) -> tuple[dict[str, Dependence], dict[str, Dependence]]:
    """How the parts of the AUROC, and those of the log loss, depend on the images."""
    present_K, present_J = external.present_K, internal.present_K
    even_K, even_J = np.ones(len(present_K)), np.ones(len(present_J))
    none_K, none_J = np.zeros(len(present_K)), np.zeros(len(present_J))

    def mixed(by_K: Floats, by_J: Floats = none_J) -> Dependence:
        return through_the_mix(Dependence(by_K, by_J), weights, external.patients_K)

    def lost_here(logits_K: Floats) -> Dependence:
        by = of_log_loss_at_prevalence(
            losses_of(logits_K, present_K), present_K, fits.mixed_K, present_J
        )
        return mixed(by.external_K, by.internal_J)

    def lost_there(logits_J: Floats) -> Dependence:
        return Dependence(none_K, of_log_loss(losses_of(logits_J, present_J), even_J))

    abroad = Dependence(of_auroc(present_K, external.scores_K, even_K), none_J)
    alike = mixed(of_auroc(present_K, external.scores_K, fits.mixed_K))
    home = Dependence(none_K, of_auroc(present_J, internal.scores_K, even_J))
    lost_K = losses_of(external.logits_K, present_K)
    lost = Dependence(of_log_loss(lost_K, even_K), none_J)
    lost_alike = mixed(of_log_loss(lost_K, fits.mixed_K))
    own = lost_there(internal.logits_K)
    shifted, bent = lost_here(fits.here.shifted_K), lost_here(fits.here.bent_K)
    own_shifted, own_bent = lost_there(fits.there.shifted_K), lost_there(fits.there.bent_K)
    return {"case_mix": abroad - alike, "rest": alike - home}, {
        "difference": lost - own,
        "case_mix": lost - lost_alike,
        "prevalence": (lost_alike - shifted) - (own - own_shifted),
        "calibration": (shifted - bent) - (own_shifted - own_bent),
        "rest": bent - own_bent,
    }


def _apart(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else rounded(first - second)


def _refitted(sample: Sample, weights_K: Floats) -> _Refit:
    """The intercept fitted, and the slope as well.

    A slope below 0 would turn the order around, which is no calibration: then it is 0.
    """
    ones_K, logits_K, present_K = np.ones(len(sample.logits_K)), sample.logits_K, sample.present_K
    shifted, by_C = fitted(ones_K[:, None], logits_K, present_K, weights_K)
    shifted_K = logits_K + by_C[0]
    both_K2, none_K = np.column_stack([ones_K, logits_K]), np.zeros_like(ones_K)
    bent, to_C = fitted(both_K2, none_K, present_K, weights_K)
    bent_K: Floats = both_K2 @ to_C
    if to_C[1] < 0:
        bent, to_C = fitted(ones_K[:, None], none_K, present_K, weights_K)
        bent_K = np.full_like(logits_K, to_C[0])
    if bent > shifted:
        bent, bent_K = shifted, shifted_K
    return _Refit(shifted_K, bent_K, shifted, bent)
