"""Checks of a part's figures: does the network see more than the label table tells?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.health.diagnosis import Diagnosis, Severity
from core.health.scores import ENOUGH_PATIENTS
from core.health.words import listed

_GOOD, _LITTLE_LEFT = 0.7, 1 / 3
"""Of what an AUROC has over chance: what is left of it within the better view."""

_NARROW = 0.05
"""Half the width of a gain's interval up to which «no gain» is an answer; wider ones can't tell."""

Report = Mapping[str, Any]


def check_figures(report: Report) -> list[Diagnosis]:
    """Answers from an evaluation's report (see ``core.evaluation.report.evaluate``)."""
    return [*_reads_the_table(report), *_collapses_within_view(report)]


def _reads_the_table(report: Report) -> Iterator[Diagnosis]:
    table = report.get("table_alone") or {}
    above, interval = table.get("mean_auroc_above"), table.get("mean_auroc_above_ci")
    if above is not None and interval is not None and _shows_no_gain(interval):
        yield _no_better_than_the_table(
            "The network does", above, interval, {"table_alone": table.get("mean_auroc")}
        )
        return
    found = {
        finding: figures
        for finding, figures in (report.get("findings") or {}).items()
        if _shows_no_gain(figures.get("auroc_above_table_ci"))
    }
    if found:
        worst = min(found, key=lambda finding: float(found[finding]["auroc_above_table"]))
        figures = found[worst]
        yield _no_better_than_the_table(
            f"On {listed(list(found))} the network does",
            figures["auroc_above_table"],
            figures["auroc_above_table_ci"],
            {
                "finding": worst,
                "auroc": figures.get("auroc"),
                "table_alone": figures.get("table_alone_auroc"),
            },
        )


def _shows_no_gain(interval: Sequence[float] | None) -> bool:
    """Whether a gain's interval reaches 0, and is narrow enough for that to mean anything."""
    if interval is None:
        return False
    low, high = interval
    return high < 0 or (low <= 0 and (high - low) / 2 <= _NARROW)


def _no_better_than_the_table(
    who: str, above: float, interval: Sequence[float], evidence: Mapping[str, Any]
) -> Diagnosis:
    return Diagnosis(
        check="reads-the-table",
        severity=Severity.WARNING,
        text=f"{who} no better than age, sex, view position and follow-up number do without any "
        "image.",
        evidence={
            **evidence,
            "above_table": above,
            "interval_low": interval[0],
            "interval_high": interval[1],
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
