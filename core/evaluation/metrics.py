"""AUROC and AUPRC of one finding, with notes on them.

Unknown labels (NaN) are left out. A finding with only one class has no AUROC: it is None with a
note, never 0.5, and never part of a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.findings import PRESENT
from core.words import number_of

FEW_PATIENTS = 50
"""Below this many positive patients the interval matters most (86 Hernias are 32 patients)."""

READ_THE_INTERVAL = "read the interval, not the number"

TOO_FEW_PATIENTS = 10
"""Below this many positive patients a figure means almost nothing, and the report warns."""

CUT_SCORES = "scores have two values at most"
"""Start of the warning about scores that look cut; a note says the same of one finding."""

_EVERY_SCORE, _TWO_VALUES = "every score is ", "the scores have only two values, "

_ENOUGH_TO_JUDGE_TIES = 5
"""With fewer images than this, two distinct scores are not suspicious."""


@dataclass(frozen=True)
class FindingFigures:
    """Figures of one finding's scores on the images with a known label."""

    positives: int
    negatives: int
    positive_patients: int
    distinct_scores: int
    auroc: float | None
    auprc: float | None
    notes: tuple[str, ...]

    @property
    def known(self) -> int:
        """Images with a known label."""
        return self.positives + self.negatives

    @property
    def prevalence(self) -> float | None:
        """Share of positives among known labels; None if none is known."""
        return self.positives / self.known if self.known else None

    @property
    def looks_cut(self) -> bool:
        """Whether the scores have so few values that they look cut to integers or thresholded."""
        enough = self.known >= _ENOUGH_TO_JUDGE_TIES
        return self.distinct_scores == 1 or (self.distinct_scores == 2 and enough)


def is_about_cut_scores(note: str) -> bool:
    """Whether a finding's note says that its scores are constant or have two values."""
    return note.startswith((_EVERY_SCORE, _TWO_VALUES))


def auroc(
    labels_N: NDArray[Any], scores_N: NDArray[Any], weights_N: NDArray[Any] | None = None
) -> float | None:
    """Area under the ROC curve by scikit-learn; None if the known labels lack a class.

    Args:
        labels_N: 1 present, 0 absent, NaN unknown (left out).
        scores_N: any real numbers; only their order matters, ties count one half.
        weights_N: weight of each image, 1 if not given.
    """
    present_K, scores_K, weights_K = _known(labels_N, scores_N, weights_N)
    if not present_K.any() or present_K.all():
        return None
    from sklearn.metrics import roc_auc_score  # 1.5 s to import: only a scoring command pays

    return float(roc_auc_score(present_K, scores_K, sample_weight=weights_K))


def auprc(
    labels_N: NDArray[Any], scores_N: NDArray[Any], weights_N: NDArray[Any] | None = None
) -> float | None:
    """Average precision by scikit-learn; None if the known labels lack a class.

    Without skill it equals the prevalence, not 0.5: read the two together.
    """
    present_K, scores_K, weights_K = _known(labels_N, scores_N, weights_N)
    if not present_K.any() or present_K.all():
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(present_K, scores_K, sample_weight=weights_K))


def mean_over_defined(values: Sequence[float | None]) -> float | None:
    """Mean of the defined values; None if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def auroc_by_group(
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    groups_N: NDArray[Any] | None,
    groups: Sequence[str],
) -> dict[str, float | None]:
    """AUROC within each group of images, such as PA and AP; None if a class is missing."""
    if groups_N is None:
        return dict.fromkeys(groups)
    within = {group: np.asarray(groups_N == group) for group in groups}
    return {group: auroc(labels_N[mask], scores_N[mask]) for group, mask in within.items()}


def finding_figures(
    labels_N: NDArray[Any], scores_N: NDArray[Any], patients_N: NDArray[Any], part: str = "test"
) -> FindingFigures:
    """Counts, AUROC and AUPRC of one finding, with notes on how to read them.

    Args:
        labels_N: 1, 0 or NaN.
        scores_N: finite scores.
        patients_N: the patient of each image; any values that identify patients.
        part: the part's name, for the notes.
    """
    known_N = ~np.isnan(labels_N)
    present_N = known_N & (labels_N == PRESENT)
    positives = int(present_N.sum())
    figures = FindingFigures(
        positives=positives,
        negatives=int(known_N.sum()) - positives,
        positive_patients=len(np.unique(patients_N[present_N])),
        distinct_scores=len(np.unique(scores_N[known_N])),
        auroc=auroc(labels_N, scores_N),
        auprc=auprc(labels_N, scores_N),
        notes=(),
    )
    notes = _notes(figures, scores_N[known_N], part)
    return FindingFigures(**{**vars(figures), "notes": notes})


def _known(
    labels_N: NDArray[Any], scores_N: NDArray[Any], weights_N: NDArray[Any] | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64] | None]:
    known_N = ~np.isnan(labels_N)
    if weights_N is not None:
        known_N &= weights_N > 0  # an image of weight 0 doesn't count, nor does its class
    weights_K = None if weights_N is None else weights_N[known_N].astype(np.float64)
    # float64: a small difference of two float32 can be flushed to 0 and become a tie.
    return labels_N[known_N] == PRESENT, scores_N[known_N].astype(np.float64), weights_K


def _notes(figures: FindingFigures, scores_K: NDArray[Any], part: str) -> tuple[str, ...]:
    if figures.known == 0:
        return (f"no known label in {part}: AUROC needs positive and negative images",)
    if figures.positives == 0:
        return (f"no positive image in {part}: AUROC needs both",)
    if figures.negatives == 0:
        return (f"no negative image in {part}: AUROC needs both",)
    notes = []
    if figures.distinct_scores == 1:
        notes.append(
            f"{_EVERY_SCORE}{scores_K[0]:g}, so this AUROC of 0.5 says nothing about the network: "
            "were the scores cut to integers (.astype(int)) or thresholded before they were "
            "scored, or is its output constant?"
        )
    elif figures.looks_cut:
        low, high = np.unique(scores_K)
        notes.append(
            f"{_TWO_VALUES}{low:g} and {high:g}: AUROC needs the "
            "probabilities, and these look thresholded or cut to integers"
        )
    if figures.positive_patients < FEW_PATIENTS:
        notes.append(
            f"{number_of(figures.positives, 'positive image')} of "
            f"{number_of(figures.positive_patients, 'patient')}: {READ_THE_INTERVAL}"
        )
    return tuple(notes)
