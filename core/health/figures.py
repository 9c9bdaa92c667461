"""Checks of a part's figures: does the network see more than the label table tells?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.health.diagnosis import Diagnosis, Severity
from core.health.scores import ENOUGH_PATIENTS

_GOOD, _LITTLE_LEFT = 0.7, 1 / 3
"""Of what an AUROC has over chance: what is left of it within the better view."""

Report = Mapping[str, Any]


def check_figures(report: Report) -> list[Diagnosis]:
    """Answers from an evaluation's report (see ``core.evaluation.report.evaluate``)."""
    return [*_reads_the_table(report), *_collapses_within_view(report)]


def _reads_the_table(report: Report) -> Iterator[Diagnosis]:
    ours, interval = report.get("mean_auroc"), report.get("mean_auroc_ci")
    table = (report.get("table_alone") or {}).get("mean_auroc")
    if ours is None or interval is None or table is None or interval[1] > table:
        return
    yield Diagnosis(
        check="reads-the-table",
        severity=Severity.WARNING,
        text="The network does no better than age, sex, view position and follow-up number do "
        "without any image.",
        evidence={
            "mean_auroc": ours,
            "interval_high": interval[1],
            "table_alone": table,
        },
        remedy="Look whether the images reach the network, and compare within PA and within AP.",
    )


def _collapses_within_view(report: Report) -> Iterator[Diagnosis]:
    collapsed: dict[str, tuple[float, float]] = {}
    for finding, figures in report.get("findings", {}).items():
        within = [
            area for area in (figures.get("auroc_by_view") or {}).values() if area is not None
        ]
        overall = figures.get("auroc")
        enough = (figures.get("positive_patients") or 0) >= ENOUGH_PATIENTS
        if overall is None or not enough or len(within) < 2:
            continue
        if overall >= _GOOD and max(within) - 0.5 < _LITTLE_LEFT * (overall - 0.5):
            collapsed[finding] = overall, max(within)
    if collapsed:
        finding, (overall, best_within) = next(iter(collapsed.items()))
        yield Diagnosis(
            check="collapses-within-view",
            severity=Severity.WARNING,
            text=f"The AUROC of {', '.join(collapsed)} is that of telling PA from AP: within "
            "either view it is near chance.",
            evidence={"finding": finding, "auroc": overall, "best_within_a_view": best_within},
            remedy="Report AUROC by view, and train and test within one view (PA) to see.",
        )
