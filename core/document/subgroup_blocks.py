"""Figures by sex, age and view: charts, tables, gaps that stand, and who is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.document.blocks import Block, Table, Words
from core.document.figures.groups import groups_chart
from core.document.values import (
    NONE,
    count,
    ends,
    interval,
    number,
    percent,
    rows,
    table,
    text,
    three,
)
from core.words import signed

_WORDS = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "false_positive_rate": "false positive rate",
    "calibration_in_the_large": "calibration in the large",
    "underdiagnosis": "underdiagnosis",
}
_NEWS = 0.05
Group = Mapping[str, Any]


def subgroup_blocks(report: Mapping[str, Any], name: str) -> list[Block]:
    """Everything on groups; [] if nothing tells groups apart.

    Args:
        name: begins the ids of the charts.
    """
    groups = [table(one) for one in rows(report.get("subgroups"))]
    single = [one for one in groups if " and " not in text(one.get("by"))]
    if not single:
        return []
    charts: list[Block] = []
    for figure in ("auroc", "sensitivity", "false_positive_rate"):
        chart = groups_chart(single, figure, _WORDS[figure], f"{name}-{figure.replace('_', '-')}")
        charts += [chart] if chart is not None else []
    by = dict.fromkeys(text(one.get("by")) for one in single)
    tables = [_auroc([one for one in single if text(one.get("by")) == each], each) for each in by]
    return [_standing(groups), *charts, *tables, _missed(single)]


def _standing(groups: Sequence[Group]) -> Block:
    """The gaps that stand after the correction for all of them."""
    found = []
    for group in groups:
        gaps = [
            (finding, figure, table(gap))
            for finding, row in table(group.get("findings")).items()
            for figure, gap in table(table(row).get("gaps")).items()
        ]
        gaps.append(("any finding", "underdiagnosis",
                     table(table(group.get("underdiagnosis")).get("gap"))))  # fmt: skip
        for finding, figure, gap in gaps:
            corrected = number(gap.get("p_holm"))
            if corrected is not None and corrected < _NEWS:
                found.append((f"{text(group.get('by'))}: {text(group.get('group'))}", finding,
                              _WORDS.get(figure, figure), *_gap_cells(gap)))  # fmt: skip
    note = (
        "Gap: the group less all other images whose attribute is known. All gaps, also of pairs of "
        "attributes, are corrected together (Holm). Matched: on images weighted to one prevalence."
    )
    if not found:
        return Words(("No gap between a group and the rest stands after correction.", note))
    head = ("group", "finding", "figure", "gap", "95 % interval", "p, Holm", "matched")
    return Table("Gaps that stand after correction", head, tuple(found), 3, (note,))


def _gap_cells(gap: Mapping[str, Any]) -> tuple[str, ...]:
    corrected = number(gap.get("p_holm"))
    return (
        _signed(number(gap.get("difference"))),
        ends(interval(gap.get("ci"))).replace("-", "−"),
        NONE if corrected is None else f"{corrected:.2g}",
        _signed(number(gap.get("matched"))),
    )


def _auroc(groups: Sequence[Group], by: str) -> Table:
    head = [
        f"{text(one.get('group'))}, {count(number(one.get('images')))} images of "
        f"{count(number(one.get('patients')))} patients"
        for one in groups
    ]
    findings = dict.fromkeys(name for one in groups for name in table(one.get("findings")))
    lines = []
    for finding in findings:
        of_it = [table(table(one.get("findings")).get(finding)) for one in groups]
        lines.append((finding, *map(_with_ends, of_it)))
    note = "– : fewer than 10 positive or negative patients give no figure."
    return Table(f"AUROC by {by}", ("finding", *head), tuple(lines), 1, (note,))


def _with_ends(row: Mapping[str, Any]) -> str:
    value = number(row.get("auroc"))
    around = interval(row.get("auroc_ci"))
    return three(value) if around is None else f"{three(value)} ({ends(around)})"


def _missed(groups: Sequence[Group]) -> Table:
    lines = []
    for group in groups:
        missed = table(group.get("underdiagnosis"))
        lines.append(
            (
                text(group.get("by")),
                text(group.get("group")),
                count(number(missed.get("images"))),
                count(number(missed.get("patients"))),
                percent(number(missed.get("rate"))),
                _percent_ends(interval(missed.get("rate_ci"))),
            )
        )
    head = ("by", "group", "images with a finding", "patients", "missed", "95 % interval")
    note = "Missed: images with a finding for which the network calls none, at its thresholds."
    return Table("Underdiagnosis", head, tuple(lines), 2, (note,))


def _percent_ends(around: tuple[float, float] | None) -> str:
    return NONE if around is None else f"{100 * around[0]:.1f} to {100 * around[1]:.1f} %"


def _signed(value: float | None) -> str:
    return signed(value)
