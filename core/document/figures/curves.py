"""ROC, precision-recall, calibration and decision curves of one finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.document.blocks import Chart
from core.document.figures.decision import draw_decision
from core.document.figures.drawing import (
    BLUE,
    FAINT,
    ORANGE,
    new_figure,
    styled,
    svg_of,
    unit_axes,
)
from core.document.values import count, ends, interval, number, percent, table, three
from core.evaluation.part_scores import PartScores
from core.findings import PRESENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 200


def finding_chart(
    scores: PartScores,
    finding: str,
    row: Mapping[str, Any],
    decision: Mapping[str, Any],
    name: str,
) -> Chart | None:
    """Four curves side by side; None if the labels lack a class.

    Args:
        row: the finding's figures.
        decision: its decision curve, empty if there is none.
        name: part of the ids.
    """
    curves = scores.curves.get(finding)
    if curves is None or curves.roc is None or curves.calibration is None:
        return None
    point = table(row.get("operating_point"))
    sensitivity, specificity = (number(point.get(one)) for one in ("sensitivity", "specificity"))
    with styled():
        figure = new_figure(2.0)
        roc, recall, calibrated, benefit = figure.subplots(1, 4)
        roc.plot([0, 1], [0, 1], color=FAINT, linestyle=(0, (4, 3)), linewidth=0.8)
        roc.plot(curves.roc.false_positive_rate, curves.roc.sensitivity, color=BLUE)
        if sensitivity is not None and specificity is not None:
            roc.plot(1 - specificity, sensitivity, "o", color=ORANGE, markersize=4.5)
        unit_axes(roc, "1 − specificity", "sensitivity", "ROC")
        _draw_recall(recall, scores, finding, row, point)
        calibrated.plot([0, 1], [0, 1], color=FAINT, linestyle=(0, (4, 3)), linewidth=0.8)
        groups = curves.calibration
        calibrated.plot(groups.mean_score, groups.share_present, color=BLUE, marker="o",
                        markersize=3.2)  # fmt: skip
        unit_axes(calibrated, "mean probability", "share present", "Calibration")
        draw_decision(benefit, decision)
        svg = svg_of(figure, name)
    auroc = f"{three(number(row.get('auroc')))} ({ends(interval(row.get('auroc_ci')))})"
    auprc = f"{three(number(row.get('auprc')))} ({ends(interval(row.get('auprc_ci')))})"
    caption = (
        f"AUROC {auroc}; AUPRC {auprc}, prevalence "
        f"{percent(number(row.get('prevalence')))}, {count(number(row.get('positives')))} positive "
        f"images of {count(number(row.get('positive_patients')))} patients."
    )
    return Chart(
        svg, caption, f"ROC, precision-recall, calibration and decision curve of {finding}", finding
    )


def _draw_recall(
    axes: Axes, scores: PartScores, finding: str, row: Mapping[str, Any], point: Mapping[str, Any]
) -> None:
    column = scores.predictions.findings.index(finding)
    recall_T, precision_T = precision_recall(
        scores.predictions.labels_NF[:, column], scores.predictions.scores_NF[:, column]
    )
    prevalence = number(row.get("prevalence"))
    if prevalence is not None:
        axes.axhline(prevalence, color=FAINT, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.plot(recall_T, precision_T, color=BLUE)
    sensitivity, ppv = number(point.get("sensitivity")), number(point.get("ppv"))
    if sensitivity is not None and ppv is not None:
        axes.plot(sensitivity, ppv, "o", color=ORANGE, markersize=4.5)
    unit_axes(axes, "sensitivity (recall)", "PPV (precision)", "Precision–recall")


def precision_recall(
    labels_N: NDArray[Any], scores_N: NDArray[Any], most_points: int = _MOST_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall, from 0 to 1, and precision at each distinct score; unknown labels are left out.

    At recall 0 precision is that of the highest score. Davis and Goadrich 2006: points are not
    joined by interpolation of precision; with few points of a thinned curve the eye does.
    """
    known_N = ~np.isnan(labels_N)
    present_K, scores_K = labels_N[known_N] == PRESENT, scores_N[known_N].astype(np.float64)
    order = np.argsort(-scores_K, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores_K[order])), len(order) - 1)
    true_T = np.cumsum(present_K[order])[last_of_tie].astype(np.float64)
    recall_T, precision_T = true_T / present_K.sum(), true_T / (1 + last_of_tie)
    recall_T = np.concatenate([[0.0], recall_T])
    precision_T = np.concatenate([precision_T[:1], precision_T])
    if len(recall_T) > most_points:
        # Evenly along the curve, not along the scores: the steep start has few images.
        along_T = np.cumsum(np.hypot(np.diff(recall_T, prepend=0), np.diff(precision_T, prepend=0)))
        wanted = np.linspace(along_T[0], along_T[-1], most_points)
        kept = np.unique(np.clip(np.searchsorted(along_T, wanted), 0, len(recall_T) - 1))
        recall_T, precision_T = recall_T[kept], precision_T[kept]
    return recall_T, precision_T
