"""Curves of one finding's scores: ROC curve, calibration, score distribution.

Few points each, whatever the number of images, as plain floats. Unknown labels are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.findings import ABSENT, PRESENT

MAX_ROC_POINTS = 256
CALIBRATION_GROUPS = 10
LEAST_IMAGES_A_GROUP = 20
"""A share of fewer images says little about a probability."""

MAX_SCORE_BINS = 24


@dataclass(frozen=True)
class RocCurve:
    """Sensitivity against false positive rate (1 − specificity), from (0, 0) to (1, 1)."""

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """Groups of images with similar scores: mean score, positive share, images."""

    mean_score: tuple[float, ...]
    share_present: tuple[float, ...]
    num_images: tuple[int, ...]


@dataclass(frozen=True)
class ScoreSpread:
    """Histograms of the scores of positive and of negative images, each with sum 1.

    The bins are even in log-odds: otherwise a rare finding's scores would all be close to 0.
    """

    log_odds: tuple[float, ...]
    present: tuple[float, ...]
    absent: tuple[float, ...]


def roc_curve(
    labels_N: NDArray[Any], scores_N: NDArray[Any], max_points: int = MAX_ROC_POINTS
) -> RocCurve | None:
    """The ROC curve; None if the known labels lack a class. Ties form one straight segment.

    A curve with more than ``max_points`` corners is thinned evenly along its length.
    """
    present_K, scores_K = _known(labels_N, scores_N)
    if not present_K.any() or present_K.all():
        return None
    order = np.argsort(-scores_K, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores_K[order])), len(order) - 1)
    true_T = np.cumsum(present_K[order])[last_of_tie]
    false_T = 1 + last_of_tie - true_T
    sensitivity_T = np.concatenate([[0.0], true_T / present_K.sum()])
    rate_T = np.concatenate([[0.0], false_T / (~present_K).sum()])
    kept = _thinned(rate_T, sensitivity_T, max_points)
    return RocCurve(tuple(rate_T[kept].tolist()), tuple(sensitivity_T[kept].tolist()))


def calibration(labels_N: NDArray[Any], scores_N: NDArray[Any]) -> Calibration | None:
    """Observed shares by score, in groups of equal size; None if no label is known.

    At most ``CALIBRATION_GROUPS`` groups, each of ``LEAST_IMAGES_A_GROUP`` images if there are that
    many. Equal scores stay together, so ties make fewer groups.
    """
    present_K, scores_K = _known(labels_N, scores_N)
    if len(scores_K) == 0:
        return None
    groups = max(1, min(CALIBRATION_GROUPS, len(scores_K) // LEAST_IMAGES_A_GROUP))
    inner_edges = np.quantile(scores_K, np.arange(1, groups) / groups)
    _, group_K = np.unique(
        np.searchsorted(inner_edges, scores_K, side="right"), return_inverse=True
    )
    images_G = np.bincount(group_K)
    mean_G = np.bincount(group_K, weights=scores_K) / images_G
    share_G = np.bincount(group_K, weights=present_K) / images_G
    return Calibration(tuple(mean_G.tolist()), tuple(share_G.tolist()), tuple(images_G.tolist()))


def score_spread(labels_N: NDArray[Any], scores_N: NDArray[Any]) -> ScoreSpread | None:
    """Histograms over the scores' own range; None if the known labels lack a class.

    Args:
        scores_N: probabilities.
    """
    present_K, scores_K = _known(labels_N, scores_N)
    if not present_K.any() or present_K.all():
        return None
    bins = int(np.clip(np.sqrt(len(scores_K)), 5, MAX_SCORE_BINS))
    log_odds_K = log_odds(scores_K)
    edges = np.histogram_bin_edges(log_odds_K, bins=bins)
    centres = (edges[:-1] + edges[1:]) / 2
    present_B, absent_B = (
        np.histogram(log_odds_K[chosen_K], edges)[0] / chosen_K.sum()
        for chosen_K in (present_K, ~present_K)
    )
    return ScoreSpread(tuple(centres.tolist()), tuple(present_B.tolist()), tuple(absent_B.tolist()))


def log_odds(probability: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """ln(p / (1 − p)), of probabilities clipped to a millionth from 0 and 1."""
    kept = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))


def most_wrong(
    labels_N: NDArray[Any], scores_N: NDArray[Any], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the highest-scored negative images and of the lowest-scored positive ones.

    At most ``count`` each, the worst first; equal scores keep the order of the rows.
    """
    absent = np.flatnonzero(labels_N == ABSENT)
    present = np.flatnonzero(labels_N == PRESENT)
    highest = absent[np.argsort(-scores_N[absent], kind="stable")][:count]
    lowest = present[np.argsort(scores_N[present], kind="stable")][:count]
    return highest, lowest


def _known(
    labels_N: NDArray[Any], scores_N: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    known_N = ~np.isnan(labels_N)
    return labels_N[known_N] == PRESENT, scores_N[known_N].astype(np.float64)


def _thinned(
    xs_T: NDArray[np.float64], ys_T: NDArray[np.float64], max_points: int
) -> NDArray[np.int64]:
    """Positions of the corners, or of ``max_points`` of them evenly spaced along the curve."""
    turns_T = np.diff(xs_T)[:-1] * np.diff(ys_T)[1:] != np.diff(ys_T)[:-1] * np.diff(xs_T)[1:]
    corners = np.concatenate([[0], np.flatnonzero(turns_T) + 1, [len(xs_T) - 1]])
    if len(corners) <= max_points:
        return corners.astype(np.int64)
    along_T = xs_T + ys_T  # both only rise: position along the curve, from 0 to 2
    wanted = np.linspace(0, along_T[-1], max_points)
    return np.unique(np.clip(np.searchsorted(along_T, wanted), 0, len(xs_T) - 1)).astype(np.int64)
