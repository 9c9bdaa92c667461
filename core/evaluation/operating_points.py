"""An operating point: a threshold chosen on val by a rule, and its results on test.

A threshold judged on the images it was chosen on looks too good, so the two are always separate. A
finding is called if its score is at or above the threshold.
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
    """How a threshold is chosen: by Youden's index, or by a minimum sensitivity or specificity."""

    kind: RuleKind
    least: float | None = None

    def __str__(self) -> str:
        return self.kind if self.least is None else f"{self.kind}={self.least:g}"


@dataclass(frozen=True)
class CalledCounts:
    """Images by label and by whether a threshold calls them; ratios over nothing are None."""

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
        """Share of the called images that are positive; depends on the prevalence."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def npv(self) -> float | None:
        """Share of the images not called that are negative; depends on the prevalence."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_negatives)


@dataclass(frozen=True)
class Threshold:
    """A threshold and its results on val, or None with the reason."""

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
    """The threshold that ``rule`` chooses on these images (val).

    Every threshold between two neighbouring scores gives the same calls, so a rule chooses a gap:

    - youden: the gap with the largest sensitivity + specificity - 1 (Youden 1950);
    - sensitivity=s: of the gaps whose sensitivity is at least s, the one of best specificity;
    - specificity=s: of the gaps whose specificity is at least s, the one of best sensitivity.

    Of equal gaps the widest is taken, and the threshold is its middle: at one of its ends (the
    lowest positive, say) new images fall on the wrong side far more often. Width and middle are
    computed on the logit scale, or on that of the scores if one of them isn't between 0 and 1.
    Below the lowest score there is no gap: if every image has to be called, that score is the
    threshold. A threshold that calls no image is never chosen.

    Args:
        labels_N: 1, 0 or NaN (unknown: left out).
        scores_N: finite scores.
    """
    known_N = ~np.isnan(labels_N)
    present_K, scores_K = labels_N[known_N] == PRESENT, scores_N[known_N].astype(np.float64)
    if not present_K.any() or present_K.all():
        missing = "negative" if present_K.any() else "positive"
        return Threshold(None, reason=f"no {missing} image in val, so no threshold can be chosen")
    above_T = np.unique(scores_K)  # ascending; gap t lies below this score and above the last one
    called_T = _at_or_above(scores_K[present_K], above_T)
    falsely_T = _at_or_above(scores_K[~present_K], above_T)
    positives, negatives = int(present_K.sum()), int((~present_K).sum())
    if rule.kind == "youden":
        # In integers, so that equal values compare equal: multiplied by positives and negatives.
        youden_T = called_T * negatives - falsely_T * positives
        best = np.flatnonzero(youden_T == youden_T.max())
        if youden_T.max() <= 0:
            return Threshold(None, reason="no threshold does better than chance on val")
    else:
        best = _best_that_reach(rule, called_T / positives, 1 - falsely_T / negatives)
        if len(best) == 0:
            return Threshold(None, reason=f"no threshold reaches {rule} on val: its scores tie")
    value, chosen = _middle_of_widest(above_T, best)
    return Threshold(
        value=value,
        sensitivity=float(called_T[chosen] / positives),
        specificity=float(1 - falsely_T[chosen] / negatives),
    )


def called_counts(threshold: float, labels_N: NDArray[Any], scores_N: NDArray[Any]) -> CalledCounts:
    """Calls of a threshold on these images; unknown labels are left out."""
    called_N = scores_N.astype(np.float64) >= threshold
    present_N, absent_N = labels_N == PRESENT, labels_N == ABSENT
    return CalledCounts(
        true_positives=int((present_N & called_N).sum()),
        false_positives=int((absent_N & called_N).sum()),
        true_negatives=int((absent_N & ~called_N).sum()),
        false_negatives=int((present_N & ~called_N).sum()),
    )


def _best_that_reach(
    rule: Rule, sensitivity_T: NDArray[np.float64], specificity_T: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Gaps that satisfy the rule, and of these the best by the other measure."""
    assert rule.least is not None
    asked_T, other_T = sensitivity_T, specificity_T
    if rule.kind == "specificity":
        asked_T, other_T = specificity_T, sensitivity_T
    reaches_T = asked_T >= rule.least - 1e-12  # 0.9 of 10 images is 9
    if not reaches_T.any():
        return np.array([], dtype=np.int64)
    return np.flatnonzero(reaches_T & (other_T == other_T[reaches_T].max()))


def _middle_of_widest(
    above_T: NDArray[np.float64], gaps: NDArray[np.int64]
) -> tuple[float, np.int64]:
    """The middle of the widest of these gaps, and its index; of equal gaps the lowest.

    The middle is above the score below it and not above the score above it, whatever the rounding.
    """
    from scipy.special import expit, logit  # slow at the door, which reads rules alone

    are_probabilities = above_T[0] > 0 and above_T[-1] < 1
    scale_T = logit(above_T) if are_probabilities else above_T
    inner = gaps[gaps > 0]
    if len(inner) == 0:
        return float(above_T[0]), gaps[0]
    chosen = inner[np.argmax(scale_T[inner] - scale_T[inner - 1])]
    middle = scale_T[chosen - 1] / 2 + scale_T[chosen] / 2  # the sum may be infinite
    value = expit(middle) if are_probabilities else middle
    just_above = np.nextafter(above_T[chosen - 1], np.inf)
    return float(np.clip(value, just_above, above_T[chosen])), chosen


def _at_or_above(
    scores_M: NDArray[np.float64], thresholds_T: NDArray[np.float64]
) -> NDArray[np.int64]:
    return len(scores_M) - np.searchsorted(np.sort(scores_M), thresholds_T, side="left")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
