"""Who is missed: names gaps between groups of patients that stand after correction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.health.diagnosis import Diagnosis, Severity
from core.words import number_of

_STANDS_BELOW = 0.05
_IN_WORDS = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "false_positive_rate": "false positive rate",
}
"""Not calibration in the large, which differs wherever prevalence does, of good scores too."""

Report = Mapping[str, Any]


def check_subgroups(report: Report) -> Iterator[Diagnosis]:
    """The gap that chance explains least, if it stands after Holm's correction, and how many do."""
    standing = sorted(_standing(report), key=lambda one: float(one[-1]["p_holm"]))
    if not standing:
        return
    group, finding, figure, gap = standing[0]
    more = len(standing) - 1
    others = f" So do {number_of(more, 'other gap')}." if more else ""
    higher = "higher" if gap["difference"] > 0 else "lower"
    yield Diagnosis(
        check="subgroup-gap",
        severity=Severity.WARNING,
        text=f"The {figure} of {finding} is {higher} for {group} than for the rest, and that "
        f"stands after correction for every gap tested.{others}",
        evidence={
            "group": group,
            "finding": finding,
            "gap": gap["difference"],
            "interval_low": gap["ci"][0],
            "interval_high": gap["ci"][1],
            "matched_in_prevalence": gap.get("matched"),
            "p_holm": gap["p_holm"],
        },
        remedy="Report it with its interval, and look at the images that are missed in that group.",
    )


def _standing(report: Report) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    seen = set()
    for group in report.get("subgroups") or ():
        name = f"{group['by']} {group['group']}"
        gaps = [
            (finding, _IN_WORDS[figure], gap)
            for finding, figures in group["findings"].items()
            for figure, gap in figures["gaps"].items()
            if figure in _IN_WORDS
        ]
        gaps.append(("any finding", "share missed", group["underdiagnosis"]["gap"]))
        for finding, figure, gap in gaps:
            if not gap or not gap.get("ci") or gap["p_holm"] is None:
                continue
            one = (group["by"], finding, figure, gap["p"], abs(gap["difference"]))
            if gap["p_holm"] < _STANDS_BELOW and one not in seen:
                seen.add(one)
                yield name, finding, figure, gap
