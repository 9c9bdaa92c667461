"""The charts of one finding: ROC curve, calibration, score distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.evaluation.part_scores import FindingCurves, OperatingPoint
from cxr_tui.reports.notes import calibration_titles, roc_titles, spread_titles
from cxr_tui.widgets.line_chart import Chart, Line

_NO_CURVE = "no curve: it needs positive and negative images"


FindingChart = tuple[str, str, Sequence[str], Chart]
"""Its name, what it is, its titles on the screen, and the chart."""


def finding_charts(
    finding: str, curves: FindingCurves | None, point: OperatingPoint | None, waiting: str
) -> list[FindingChart]:
    """All charts of a finding."""
    return [
        ("roc", "ROC", roc_titles(finding), roc_chart(curves, point, waiting)),
        (
            *("calibration", "Calibration", calibration_titles(finding)),
            calibration_chart(curves, waiting),
        ),
        ("spread", "Scores", spread_titles(finding), spread_chart(curves, point, waiting)),
    ]


def roc_chart(curves: FindingCurves | None, point: OperatingPoint | None, waiting: str) -> Chart:
    """Sensitivity against 1 − specificity, the chance diagonal, the operating point."""
    if curves is None or curves.roc is None:
        return Chart((), empty=_NO_CURVE if curves else waiting)
    lines = [
        Line("chance", (0.0, 1.0), (0.0, 1.0), "gray", marker="·"),
        Line("ROC", curves.roc.false_positive_rate, curves.roc.sensitivity, "blue"),
    ]
    if point is not None and point.sensitivity is not None and point.specificity is not None:
        at = (1 - point.specificity, point.sensitivity)
        lines.append(Line("threshold", at[:1], at[1:], "orange", dots=True))
    return Chart(
        tuple(lines),
        y_limits=(0.0, 1.0),
        y_ticks=(0.0, 0.5, 1.0),
        across="1 − specificity",
        up="sensitivity",
    )


def calibration_chart(curves: FindingCurves | None, waiting: str) -> Chart:
    """The positive share against the mean probability of groups of images."""
    groups = curves.calibration if curves else None
    if groups is None:
        return Chart((), empty=_NO_CURVE if curves else waiting)
    top = _round_up(max(*groups.mean_score, *groups.share_present, 0.0))
    return Chart(
        (
            Line("calibrated", (0.0, top), (0.0, top), "gray", marker="·"),
            Line("groups", groups.mean_score, groups.share_present, "blue"),
            Line("groups", groups.mean_score, groups.share_present, "orange", dots=True),
        ),
        y_limits=(0.0, top),
        y_ticks=(0.0, top / 2, top),
        across="mean score",
        up="share positive",
    )


def spread_chart(curves: FindingCurves | None, point: OperatingPoint | None, waiting: str) -> Chart:
    """Shares of the positive and of the negative images by score, and the threshold."""
    spread = curves.spread if curves else None
    if spread is None:
        return Chart((), empty=_NO_CURVE if curves else waiting)
    lines = [
        Line("absent", spread.log_odds, spread.absent, "gray", marker="·"),
        Line("present", spread.log_odds, spread.present, "blue"),
    ]
    threshold = point.threshold if point else None
    if threshold is not None and 0 < threshold < 1:
        at = math.log(threshold / (1 - threshold))
        top = max(*spread.present, *spread.absent)
        if spread.log_odds[0] <= at <= spread.log_odds[-1]:
            lines.insert(0, Line("threshold", (at, at), (0.0, top), "orange", marker="|"))
    return Chart(tuple(lines), across="log-odds of the score", up="share of images")


def _round_up(value: float) -> float:
    """The next 1, 2, 4, 6 or 8 of its decade: an axis that ends on a round number, 1 at most."""
    if value <= 0:
        return 0.1
    decade = 10.0 ** math.floor(math.log10(value))
    fitting = [step * decade for step in (1, 2, 4, 6, 8, 10) if step * decade >= value]
    return min(1.0, fitting[0])
