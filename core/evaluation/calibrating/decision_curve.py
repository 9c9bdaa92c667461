"""Decision curves: what acting on a score is worth, beside acting on everyone and on no one.

Net benefit at a threshold t is (true positives − false positives × t / (1 − t)) / images: t is the
probability from which somebody would act, so its odds say how many false alarms one found case is
worth (Vickers and Elkin 2006, Medical Decision Making 26:565).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.calibration import NO_PROBABILITIES
from core.evaluation.calibrating.patient_sums import Estimate, Owners, left_out
from core.evaluation.confidence import (
    Interval,
    Spread,
    effective_patients,
    share_interval,
    unequal_patients,
)
from core.findings import PRESENT

Floats = NDArray[np.float64]

THRESHOLDS = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09),
    *(0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9),
)


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per image at T thresholds; ``treat_none`` is 0 at each.

    Attributes:
        thresholds_T: probabilities from which somebody acts.
        model_T: net benefit of acting on scores at or above them.
        treat_all_T: of acting on every image.
        gain_T: of the scores over the better of all and none.
        note: why there is no curve; then all are empty.
    """

    thresholds_T: tuple[float, ...] = ()
    model_T: tuple[Estimate, ...] = ()
    treat_all_T: tuple[float, ...] = ()
    gain_T: tuple[Estimate, ...] = ()
    note: str | None = None


def decision_curve(
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    patients_N: NDArray[np.int64],
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> DecisionCurve:
    """The curve of one finding on N images; unknown labels are left out.

    Args:
        scores_N: probabilities; there is no curve if one lies outside 0 … 1.
        thresholds: above 0 and below 1.
    """
    known_N = ~np.isnan(labels_N)
    present_K = np.asarray(labels_N[known_N] == PRESENT)
    scores_K = scores_N[known_N].astype(np.float64)
    if not present_K.any() or present_K.all():
        missing = "negative" if present_K.any() else "positive"
        return DecisionCurve(note=f"no {missing} image")
    if scores_K.min() < 0 or scores_K.max() > 1:
        return DecisionCurve(note=NO_PROBABILITIES)
    owners = Owners.of(patients_N[known_N], present_K)
    model, everyone, gains = [], [], []
    for threshold in thresholds:
        odds = threshold / (1 - threshold)
        called_K = scores_K >= threshold
        of_all = float(np.where(present_K, 1.0, -odds).mean())
        everyone.append(of_all)
        true_K, false_K = present_K & called_K, ~present_K & called_K
        model.append(_difference(true_K, present_K, 1.0, false_K, odds, owners))
        if of_all > 0:  # treating all is the better default: what isn't called is gained or lost
            spared_K, missed_K = ~present_K & ~called_K, present_K & ~called_K
            gains.append(_difference(spared_K, ~present_K, odds, missed_K, 1.0, owners))
        else:
            gains.append(model[-1])
    return DecisionCurve(tuple(thresholds), tuple(model), tuple(everyone), tuple(gains))


def _difference(
    won_K: NDArray[np.bool_],
    of_K: NDArray[np.bool_],
    worth: float,
    lost_K: NDArray[np.bool_],
    cost: float,
    owners: Owners,
) -> Estimate:
    """worth · share won − cost · share lost; ``of_K`` is the class of those won.

    Either share is skewed if it is small, so each has its interval on the logit scale, and the
    interval of the difference follows from theirs and their correlation over patients (Zou and
    Donner 2008, Statistics in Medicine 27:1693).
    """
    value = worth * float(won_K.mean()) - cost * float(lost_K.mean())
    won, won_P = _share(won_K, of_K, owners)
    lost, lost_P = _share(lost_K, ~of_K, owners)
    if won is None or lost is None:
        return Estimate(value)
    lengths = float(np.linalg.norm(won_P) * np.linalg.norm(lost_P))
    alike = float(won_P @ lost_P) / lengths if lengths else 0.0
    ends = []
    for side in (0, 1):
        of_won = worth * (won[side] - float(won_K.mean()))
        of_lost = cost * (lost[1 - side] - float(lost_K.mean()))
        off = math.sqrt(max(0.0, of_won**2 + of_lost**2 - 2 * alike * of_won * of_lost))
        ends.append(value + (off if side else -off))
    return Estimate(value, (ends[0], ends[1]))


def _share(
    chosen_K: NDArray[np.bool_], of_K: NDArray[np.bool_], owners: Owners
) -> tuple[Interval | None, Floats]:
    """The interval of the share of images chosen, some of a class, and how each patient moves it.

    Without any, it ends at the exact limit of a share of the class that was never seen.
    """
    share = float(chosen_K.mean())
    moved_P = left_out(chosen_K.astype(np.float64) - share, owners)
    if owners.reason is not None:
        return None, moved_P
    if not share:
        of_class = effective_patients(np.bincount(owners.codes_K[of_K], minlength=owners.count))
        _, most = share_interval(0.0, Spread(0.0, of_class)) or (0.0, 1.0)
        return (0.0, most * float(of_K.mean())), moved_P
    images_P = np.bincount(owners.codes_K[chosen_K], minlength=owners.count)
    widened = math.sqrt(unequal_patients(images_P))
    return owners.share_interval(share, widened * moved_P), moved_P
