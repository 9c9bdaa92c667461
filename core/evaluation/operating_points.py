"""An operating point: a threshold chosen on val by a named rule, and what it does on test.

A threshold chosen on the images it is judged on flatters itself, so the two never meet.
A finding is called where its score is at or above the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import RecipeError
from core.findings import ABSENT, PRESENT, did_you_mean

RuleKind = Literal["youden", "sensitivity", "specificity"]


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen: by Youden's index, or by the least value of one of the two."""

    kind: RuleKind
    least: float | None = None

    def __str__(self) -> str:
        return self.kind if self.least is None else f"{self.kind}={self.least:g}"


@dataclass(frozen=True)
class CalledCounts:
    """Images by label and by whether a threshold calls them; ratios are None over nothing."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the positive images that are called."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float | None:
        """Share of the negative images that aren't called."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def ppv(self) -> float | None:
        """Share of the called images that are positive; it moves with the prevalence."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def npv(self) -> float | None:
        """Share of the images not called that are negative; it moves with the prevalence."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_negatives)


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it reached on val, or None with the reason."""

    value: float | None
    sensitivity: float | None = None
    specificity: float | None = None
    reason: str | None = None


def parse_rule(text: str) -> Rule:
    """``youden``, ``sensitivity=0.9`` or ``specificity=0.9``.

    Raises:
        RecipeError: the text is none of these, or its share isn't between 0 and 1.
    """
    kind, equals, share = text.strip().partition("=")
    if kind == "youden" and not equals:
        return Rule("youden")
    if kind in ("sensitivity", "specificity"):
        try:
            least = float(share)
        except ValueError:
            least = float("nan")
        if 0 < least < 1:
            return Rule("sensitivity" if kind == "sensitivity" else "specificity", least)
        raise RecipeError(
            f"{kind} must be a number between 0 and 1, got {share!r}",
            where="evaluate.operating_point",
            remedy=f"Write {kind}=0.9, for example.",
        )
    raise RecipeError(
        f"unknown rule {text!r}; allowed are youden, sensitivity=0.9 and specificity=0.9",
        where="evaluate.operating_point",
        remedy=did_you_mean(kind, ("youden", "sensitivity", "specificity")),
    )


def choose_threshold(rule: Rule, labels_N: NDArray[Any], scores_N: NDArray[Any]) -> Threshold:
    """The threshold that ``rule`` chooses on these images (val), among their own scores.

    youden: the largest sensitivity + specificity - 1 (Youden 1950), of equals the highest
    threshold. sensitivity=s: the highest threshold whose sensitivity is at least s.
    specificity=s: the lowest whose specificity is at least s.

    Args:
        labels_N: 1, 0 or NaN (unknown: left out).
        scores_N: finite scores.
    """
    known_N = ~np.isnan(labels_N)
    present_K, scores_K = labels_N[known_N] == PRESENT, scores_N[known_N].astype(np.float64)
    if not present_K.any() or present_K.all():
        missing = "negative" if present_K.any() else "positive"
        return Threshold(None, reason=f"no {missing} image in val, so no threshold can be chosen")
    candidates_T = np.unique(scores_K)  # ascending
    sensitivity_T = _share_at_or_above(scores_K[present_K], candidates_T)
    specificity_T = 1 - _share_at_or_above(scores_K[~present_K], candidates_T)
    if rule.kind == "youden":
        youden_T = sensitivity_T + specificity_T - 1
        chosen = len(youden_T) - 1 - int(np.argmax(youden_T[::-1]))
        if youden_T[chosen] <= 0:
            return Threshold(None, reason="no threshold does better than chance on val")
    else:
        assert rule.least is not None
        reached_T = sensitivity_T if rule.kind == "sensitivity" else specificity_T
        fitting = np.flatnonzero(reached_T >= rule.least - 1e-12)  # 0.9 of 10 images is 9
        if len(fitting) == 0:
            return Threshold(None, reason=f"no threshold reaches {rule} on val: its scores tie")
        chosen = int(fitting[-1] if rule.kind == "sensitivity" else fitting[0])
    return Threshold(
        value=float(candidates_T[chosen]),
        sensitivity=float(sensitivity_T[chosen]),
        specificity=float(specificity_T[chosen]),
    )


def called_counts(threshold: float, labels_N: NDArray[Any], scores_N: NDArray[Any]) -> CalledCounts:
    """What a threshold does on these images; unknown labels are left out."""
    called_N = scores_N.astype(np.float64) >= threshold
    present_N, absent_N = labels_N == PRESENT, labels_N == ABSENT
    return CalledCounts(
        true_positives=int((present_N & called_N).sum()),
        false_positives=int((absent_N & called_N).sum()),
        true_negatives=int((absent_N & ~called_N).sum()),
        false_negatives=int((present_N & ~called_N).sum()),
    )


def _share_at_or_above(
    scores_M: NDArray[np.float64], thresholds_T: NDArray[np.float64]
) -> NDArray[np.float64]:
    below_T = np.searchsorted(np.sort(scores_M), thresholds_T, side="left")
    return 1.0 - below_T / len(scores_M)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
