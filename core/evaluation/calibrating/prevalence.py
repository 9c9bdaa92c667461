"""What calls and probabilities are worth at another prevalence than that of the images scored.

Sensitivity and specificity are taken as they are: the images differ in how many are positive and
in nothing else. Then PPV and NPV follow by Bayes' rule (Altman and Bland 1994, BMJ 309:102), and
probabilities by a shift of their logits (Elkan 2001; Saerens, Latinne and Decaestecker 2002, Neural
Computation 14:21).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UsageError
from core.evaluation.calibrating.calibration import calibration_figures
from core.evaluation.calibrating.calibration_json import calibration_json
from core.evaluation.calibrating.logistic import expit, logits_of
from core.evaluation.calibrating.patient_sums import Owners, left_out
from core.evaluation.confidence import Interval
from core.evaluation.finding_report import rounded, rounded_interval
from core.findings import PRESENT, canonical_finding, did_you_mean

_IMAGES = 1000


@dataclass(frozen=True, eq=False)
class Judged:
    """One finding's known images: K labels, probabilities and patients, with a threshold.

    Attributes:
        threshold: None if there is none.
        fitted_at: the prevalence that probabilities are right at: val's if they are recalibrated,
            else that of train, if known; else this part's.
        fitted_on: the part of that prevalence.
    """

    present_K: NDArray[np.bool_]
    scores_K: NDArray[np.float64]
    patients_K: NDArray[np.int64]
    threshold: float | None
    fitted_at: float
    fitted_on: str

    @property
    def prevalence(self) -> float:
        """Share of positive images."""
        return float(self.present_K.mean())


def parse_prevalence(texts: Sequence[str], findings: Sequence[str]) -> dict[str, float]:
    """``FINDING=SHARE`` each -> finding -> share.

    Raises:
        UsageError: no such finding, or no share between 0 and 1.
    """
    given: dict[str, float] = {}
    for text in texts:
        name, _, share_text = text.partition("=")
        finding = name if name in findings else canonical_finding(name)
        if finding not in findings:
            raise UsageError(
                f"these scores have no finding {name!r}",
                where="--prevalence",
                remedy=did_you_mean(name, findings) or f"They are of {', '.join(findings)}.",
            )
        try:
            share = float(share_text)
        except ValueError:
            share = float("nan")
        if not 0 < share < 1:
            raise UsageError(
                f"a prevalence is a share between 0 and 1, got {share_text!r}",
                where="--prevalence",
                remedy=f"Write {finding}=0.05, for example.",
            )
        given[str(finding)] = share
    return given


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float | None, float | None]:
    """PPV and NPV by Bayes' rule; None over nothing."""
    true_calls, false_calls = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_rest, false_rest = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    called, rest = true_calls + false_calls, true_rest + false_rest
    return (true_calls / called if called else None), (true_rest / rest if rest else None)


def alarms(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Images called, of 1,000."""
    return _IMAGES * (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))


def shift_to(prevalence: float, fitted_at: float) -> float:
    """What is added to the logits of probabilities that are right at ``fitted_at``."""
    return math.log(prevalence / (1 - prevalence)) - math.log(fitted_at / (1 - fitted_at))


def at_prevalence(judged: Judged, prevalence: float) -> dict[str, Any]:
    """PPV, NPV and alarms there and here, and these images' calibration after the shift.

    The shift makes the probabilities right where they will be used. ``calibration`` says how right
    they then are on these images, which tells something if the prevalence given is theirs.
    """
    shift = shift_to(prevalence, judged.fitted_at)
    shifted_K = expit(logits_of(judged.scores_K) + shift)
    labels_K = judged.present_K.astype(np.float64)
    return {
        "prevalence": rounded(prevalence),
        "prevalence_here": rounded(judged.prevalence),
        "threshold": judged.threshold,
        "there": _worth(judged, prevalence),
        "here": _worth(judged, judged.prevalence),
        "logit_shift": rounded(shift),
        "shifted_from": rounded(judged.fitted_at),
        "shifted_from_part": judged.fitted_on,
        "calibration": calibration_json(
            calibration_figures(labels_K, shifted_K, judged.patients_K)
        ),
    }


def _worth(judged: Judged, prevalence: float) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("ppv", "ppv_ci", "npv", "npv_ci", "alarms_per_1000"))
    present_K = judged.present_K
    if judged.threshold is None or not present_K.any() or present_K.all():
        return found
    called_K = judged.scores_K >= judged.threshold
    sensitivity = float(called_K[present_K].mean())
    specificity = float((~called_K[~present_K]).mean())
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    return {
        "ppv": rounded(ppv),
        "ppv_ci": rounded_interval(_interval(ppv, called_K, judged)),
        "npv": rounded(npv),
        "npv_ci": rounded_interval(_interval(npv, ~called_K, judged)),
        "alarms_per_1000": rounded(alarms(sensitivity, specificity, prevalence)),
    }


def _interval(value: float | None, chosen_K: NDArray[np.bool_], judged: Judged) -> Interval | None:
    """Of a predictive value at a prevalence that is given, from that of its likelihood ratio.

    Its logit is the ratio's logarithm plus a constant, so that has the same standard error.
    """
    if value is None or not 0 < value < 1:
        return None
    present_K = judged.present_K
    owners = Owners.of(judged.patients_K, present_K)
    moved_K = np.zeros(len(present_K))
    for kind_K, sign in ((present_K, 1), (~present_K, -1)):
        share = float(chosen_K[kind_K].mean())
        moved_K += sign * kind_K * (chosen_K - share) / (share * kind_K.mean())
    error = float(np.linalg.norm(left_out(moved_K, owners)))
    ends = owners.interval(math.log(value / (1 - value)), error)
    return None if ends is None else (_expit(ends[0]), _expit(ends[1]))


def _expit(logit: float) -> float:
    return float(expit(np.array([logit]))[0])


def judged_of(
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    patients_N: NDArray[np.int64],
    *,
    threshold: float | None,
    right_at: Mapping[str, float | None],
    part: str,
) -> Judged | None:
    """The known images of a finding; None if they lack a class or scores are no probabilities.

    Args:
        right_at: part -> the prevalence that probabilities are right at; the first that is known
            counts, and after them that of this part.
        part: the part scored.
    """
    known_N = ~np.isnan(labels_N)
    present_K = np.asarray(labels_N[known_N] == PRESENT)
    scores_K = scores_N[known_N].astype(np.float64)
    if not present_K.any() or present_K.all() or scores_K.min() < 0 or scores_K.max() > 1:
        return None
    fitted_at, fitted_on = float(present_K.mean()), part
    for name, share in right_at.items():
        if share is not None and 0 < share < 1:
            fitted_at, fitted_on = share, name
            break
    return Judged(present_K, scores_K, patients_N[known_N], threshold, fitted_at, fitted_on)


def right_at(
    calibration: Mapping[str, float | None], *, is_recalibrated: bool
) -> dict[str, float | None]:
    """Where probabilities are right: at val's prevalence if recalibrated there, else at train's."""
    of_val = {"val": calibration.get("val_prevalence")}
    return of_val if is_recalibrated else {"train": calibration.get("train_prevalence"), **of_val}
