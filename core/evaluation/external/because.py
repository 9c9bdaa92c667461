"""Where a difference between two data sets comes from: a finding's AUROC and log loss.

The external images are first weighted to the internal mix of age decade, sex and view. What changes
with that is case mix. An AUROC can't be moved by prevalence or by any monotone recalibration, so
all else is the rest: other labels, other scanners, patients who differ within a stratum.

The log loss is taken apart further, in this order: the classes are weighted to the internal
prevalence and the intercept is fitted (``prevalence``), then the slope of the logits
(``calibration``; Cox 1958, Biometrika 45:562). The session's own test images are refitted too, and
what they gain is subtracted: a network that is miscalibrated at home is not blamed abroad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.logistic import fitted, log_loss, logits_of
from core.evaluation.external.case_mix import CaseMix, MixWeights, mix_weights
from core.evaluation.finding_report import rounded
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

    @classmethod
    def of(cls, labels_N: NDArray[Any], scores_N: NDArray[Any]) -> Sample:
        """The images whose label is known."""
        rows_K = np.flatnonzero(~np.isnan(labels_N))
        scores_K = scores_N[rows_K].astype(np.float64)
        return cls(rows_K, labels_N[rows_K] == PRESENT, logits_of(scores_K), scores_K)

    @property
    def has_both(self) -> bool:
        """Whether there are images with the finding and without it."""
        return bool(self.present_K.any() and not self.present_K.all())

    @property
    def prevalence(self) -> float:
        """Share of positive images."""
        return float(self.present_K.mean())


def because_of(external: Sample, internal: Sample | None, mix: CaseMix | None) -> dict[str, Any]:
    """``because``, ``because_log_loss``, the log losses, and ``case_mix`` with what it rests on.

    Parts are null where they can't be known; those that are known sum to the difference.
    """
    unknown: dict[str, Any] = {
        "because": dict.fromkeys(AUROC_PARTS),
        "log_loss": rounded(log_loss(external.logits_K, external.present_K, None)),
        "internal_log_loss": None,
        "log_loss_difference": None,
        "because_log_loss": dict.fromkeys(LOG_LOSS_PARTS),
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
    return {
        **unknown,
        "because": _of_auroc(external, internal, weights.weights_K),
        "because_log_loss": _of_log_loss(external, internal, weights.weights_K, unknown),
        "case_mix": {
            "covered": rounded(weights.covered),
            "effective_images": rounded(weights.effective_images),
            "note": weights.note or None,
        },
    }


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


def _of_log_loss(
    external: Sample, internal: Sample, weights_K: Floats | None, losses: dict[str, Any]
) -> dict[str, float | None]:
    present_K = external.present_K
    mixed_K = np.ones(len(present_K)) if weights_K is None else weights_K
    mixed = log_loss(external.logits_K, present_K, mixed_K)
    share = float(mixed_K[present_K].sum() / mixed_K.sum())
    wanted = internal.prevalence
    to_wanted_K = np.where(present_K, wanted / share, (1 - wanted) / (1 - share))
    here = _refitted(external, mixed_K * to_wanted_K)
    there = _refitted(internal, np.ones(len(internal.present_K)))
    own = log_loss(internal.logits_K, internal.present_K, None)
    of_mix = None
    if weights_K is not None:
        of_mix = rounded(log_loss(external.logits_K, present_K, None) - mixed)
    prevalence = rounded((mixed - here[0]) - (own - there[0]))
    calibration = rounded((here[0] - here[1]) - (there[0] - there[1]))
    rest = losses["log_loss_difference"]
    for part in (of_mix, prevalence, calibration):
        rest = _apart(rest, part or 0.0)
    return {
        "case_mix": of_mix,
        "prevalence": prevalence,
        "calibration": calibration,
        "rest": rest,
    }


def _apart(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else rounded(first - second)


def _refitted(sample: Sample, weights_K: Floats) -> tuple[float, float]:
    """The log loss with the intercept fitted, and with the slope fitted as well.

    A slope below 0 would turn the order around, which is no calibration: then it is 0.
    """
    ones_K = np.ones(len(sample.logits_K))
    shifted, _ = fitted(ones_K[:, None], sample.logits_K, sample.present_K, weights_K)
    both_K2 = np.column_stack([ones_K, sample.logits_K])
    bent, (_, slope) = fitted(both_K2, np.zeros_like(ones_K), sample.present_K, weights_K)
    if slope < 0:
        bent, _ = fitted(ones_K[:, None], np.zeros_like(ones_K), sample.present_K, weights_K)
    return shifted, min(shifted, bent)
