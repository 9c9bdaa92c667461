"""One figure of every group and finding, in small panels that share their rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from core.document.blocks import Chart
from core.document.figures.drawing import BLUE, GRID, INK, new_figure, styled, svg_of
from core.document.plain_text import printable
from core.document.values import interval, number, table, text

_FEW, _MANY = 5, 7
_ROW_IN, _HEAD_IN = 0.145, 0.5


def groups_chart(
    groups: Sequence[Mapping[str, Any]], figure: str, words: str, name: str
) -> Chart | None:
    """A panel a finding, a row a group; None if no group has the figure.

    Args:
        groups: see ``core.evaluation.subgroups.subgroup_report``.
        figure: a key such as ``auroc``, with its interval under ``auroc_ci``.
        words: the figure's name.
    """
    findings = [
        finding
        for finding in dict.fromkeys(
            one for group in groups for one in table(group.get("findings"))
        )
        if any(_value(group, finding, figure) is not None for group in groups)
    ]
    if not findings:
        return None
    columns = len(findings) if len(findings) <= _FEW else _MANY
    lines = math.ceil(len(findings) / columns)
    groups = [
        one for one in groups if any(_value(one, each, figure) is not None for each in findings)
    ]
    with styled():
        drawn = new_figure(lines * (_HEAD_IN + _ROW_IN * len(groups)))
        panels = drawn.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
        for axes, finding in zip(panels, findings, strict=False):
            for place, group in enumerate(groups):
                _draw(axes, place, group, finding, figure)
            axes.set_title(printable(finding), fontsize=7.5 if columns <= _FEW else 6.5)
            axes.set_ylim(len(groups) - 0.4, -0.6)
            axes.set_yticks(
                range(len(groups)), [printable(text(one.get("group"))) for one in groups]
            )
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", visible=False)
            _part_attributes(axes, groups)
        for axes in list(panels)[len(findings) :]:
            axes.set_visible(False)
        drawn.supxlabel(words, fontsize=8)
        svg = svg_of(drawn, name)
    caption = f"{words.capitalize() if words.islower() else words} by group, with 95 % intervals."
    return Chart(svg, caption, f"{words} of each finding by group")


def _draw(axes: Any, place: int, group: Mapping[str, Any], finding: str, figure: str) -> None:
    row = table(table(group.get("findings")).get(finding))
    value, around = number(row.get(figure)), interval(row.get(f"{figure}_ci"))
    if value is None:
        return
    gap = table(table(row.get("gaps")).get(figure))
    corrected = number(gap.get("p_holm"))
    colour = "#a8324a" if corrected is not None and corrected < 0.05 else BLUE
    if around is not None:
        axes.plot(around, (place, place), color=colour, linewidth=1.2)
    axes.plot(value, place, "s", color=colour, markersize=3.2)


def _part_attributes(axes: Any, groups: Sequence[Mapping[str, Any]]) -> None:
    """A line between the groups of one attribute and those of the next."""
    for place, (one, other) in enumerate(pairwise(groups)):
        if one.get("by") != other.get("by"):
            axes.axhline(place + 0.5, color=GRID, linewidth=0.8)
    axes.spines["left"].set_color(INK)


def _value(group: Mapping[str, Any], finding: str, figure: str) -> float | None:
    return number(table(table(group.get("findings")).get(finding)).get(figure))
