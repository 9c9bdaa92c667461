"""Checks of a part's figures: does the network know more than the label table's other columns?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.health.calibration import check_calibration
from core.health.diagnosis import Diagnosis, Severity
from core.health.scores import ENOUGH_PATIENTS
from core.health.subgroups import check_subgroups
from core.health.words import listed

_GOOD, _LITTLE_LEFT = 0.7, 1 / 3
"""Of an AUROC's margin over chance, the share that remains within the better view position."""

_NARROW = 0.05
"""Largest half-width of a gain's interval that can show «no gain»; wider ones are inconclusive."""

Report = Mapping[str, Any]


def check_figures(report: Report) -> list[Diagnosis]:
    """Check an evaluation's report (see ``core.evaluation.report.evaluate``)."""
    return [
        *_reads_the_table(report),
        *_collapses_within_view(report),
        *check_calibration(report),
        *check_subgroups(report),
    ]


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
    """Whether a gain's interval includes 0 and is narrow enough for that to mean anything."""
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
        text=f"{who} no better than the label table's age, sex, view and follow-up do without any "
        "image.",
        evidence={
            **evidence,
            "above_table": above,
            "interval_low": interval[0],
            "interval_high": interval[1],
        },
        remedy="Check that the images reach the network, and compare within PA and within AP.",
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
            text=f"The AUROC of {', '.join(collapsed)} comes from telling PA from AP: within "
            "either view it is near chance.",
            evidence={"finding": finding, "auroc": overall, "best_within_a_view": best_within},
            remedy="Report AUROC by view; to confirm, train and test within one view (PA).",
        )
