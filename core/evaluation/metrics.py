"""AUROC and AUPRC of one finding, and what to say about them.

Unknown labels (NaN) are left out. A finding with one class only has no AUROC: it is
None with a note, never 0.5, and it never enters a mean.
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
"""Below this many positive patients the interval is what to read (86 Hernias are 32 patients)."""

READ_THE_INTERVAL = "read the interval, not the number"

TOO_FEW_PATIENTS = 10
"""Below this many positive patients a figure says next to nothing, and the report warns."""

_EVERY_SCORE, _TWO_VALUES = "every score is ", "the scores have only two values, "

_ENOUGH_TO_JUDGE_TIES = 5
"""With fewer images than this, two distinct scores are nothing to wonder about."""


@dataclass(frozen=True)
class FindingFigures:
    """What the scores of one finding reach on the images whose label is known."""

    positives: int
    negatives: int
    positive_patients: int
    distinct_scores: int
    auroc: float | None
    auprc: float | None
    notes: tuple[str, ...]

    @property
    def known(self) -> int:
        """Images whose label is known."""
        return self.positives + self.negatives

    @property
    def prevalence(self) -> float | None:
        """Present / known, or None where nothing is known."""
        return self.positives / self.known if self.known else None

    @property
    def looks_cut(self) -> bool:
        """Whether the scores are so few that they look cut to integers or thresholded."""
        enough = self.known >= _ENOUGH_TO_JUDGE_TIES
        return self.distinct_scores == 1 or (self.distinct_scores == 2 and enough)


def is_about_cut_scores(note: str) -> bool:
    """Whether a finding's note says that its scores are constant or of two values."""
    return note.startswith((_EVERY_SCORE, _TWO_VALUES))


def auroc(
    labels_N: NDArray[Any], scores_N: NDArray[Any], weights_N: NDArray[Any] | None = None
) -> float | None:
    """Area under the ROC curve by scikit-learn; None where the known labels lack a class.

    Args:
        labels_N: 1 present, 0 absent, NaN unknown (left out).
        scores_N: any real numbers; only their order matters, ties count one half.
        weights_N: weight of each image, 1 where not given.
    """
    present_K, scores_K, weights_K = _known(labels_N, scores_N, weights_N)
    if not present_K.any() or present_K.all():
        return None
    from sklearn.metrics import roc_auc_score  # 1.5 s to import: only a scoring command pays

    return float(roc_auc_score(present_K, scores_K, sample_weight=weights_K))


def auprc(
    labels_N: NDArray[Any], scores_N: NDArray[Any], weights_N: NDArray[Any] | None = None
) -> float | None:
    """Average precision by scikit-learn; None where the known labels lack a class.

    Its level without skill is the prevalence, not 0.5: read the two together.
    """
    present_K, scores_K, weights_K = _known(labels_N, scores_N, weights_N)
    if not present_K.any() or present_K.all():
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(present_K, scores_K, sample_weight=weights_K))


def mean_over_defined(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def auroc_by_group(
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    groups_N: NDArray[Any] | None,
    groups: Sequence[str],
) -> dict[str, float | None]:
    """AUROC within each group of images, such as PA and AP; None where a class is lacking."""
    if groups_N is None:
        return dict.fromkeys(groups)
    within = {group: np.asarray(groups_N == group) for group in groups}
    return {group: auroc(labels_N[mask], scores_N[mask]) for group, mask in within.items()}


def finding_figures(
    labels_N: NDArray[Any], scores_N: NDArray[Any], patients_N: NDArray[Any], part: str = "test"
) -> FindingFigures:
    """Counts, AUROC and AUPRC of one finding, with notes on what to make of them.

    Args:
        labels_N: 1, 0 or NaN.
        scores_N: finite scores.
        patients_N: whose image it is; any values that tell patients apart.
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
        known_N &= weights_N > 0  # an image of weight 0 isn't there, and its class may go with it
    weights_K = None if weights_N is None else weights_N[known_N].astype(np.float64)
    # float64: the difference of two close float32 can be flushed to 0, and would be a tie.
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
            f"{_EVERY_SCORE}{scores_K[0]:g}, so this AUROC of 0.5 says nothing of the network: "
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
