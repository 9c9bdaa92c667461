"""AUROC of each finding with its interval, beside the table alone and a published figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Chart
from core.document.figures.drawing import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RED,
    new_figure,
    styled,
    svg_of,
)
from core.document.plain_text import printable
from core.document.values import ends, interval, number, table, three


def forest_chart(report: Mapping[str, Any], name: str) -> Chart | None:
    """One line a finding, the mean last; None if no AUROC is defined."""
    rows = {finding: table(row) for finding, row in table(report.get("findings")).items()}
    alone = table(report.get("table_alone"))
    rows["mean"] = {
        "auroc": report.get("mean_auroc"),
        "auroc_ci": report.get("mean_auroc_ci"),
        "table_alone_auroc": alone.get("mean_auroc"),
        "reference_auroc": table(report.get("reference")).get("mean_auroc"),
    }
    if all(number(row.get("auroc")) is None for row in rows.values()):
        return None
    with styled():
        figure = new_figure(0.75 + 0.24 * len(rows))
        axes = figure.subplots()
        for place, (finding, row) in enumerate(rows.items()):
            _draw(axes, place, row, is_mean=finding == "mean")
        axes.axvline(0.5, color=FAINT, linestyle=(0, (4, 3)), linewidth=0.9)
        axes.set_yticks(range(len(rows)), [printable(finding) for finding in rows])
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="AUROC on test", xlim=_limits(rows))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        handles, labels = axes.get_legend_handles_labels()
        by_label = dict(zip(labels, handles, strict=True))
        figure.legend(
            by_label.values(), by_label.keys(), loc="outside upper left", ncols=3, fontsize=7
        )
        svg = svg_of(figure, name)
    caption = (
        "AUROC with its 95 % interval over patients. Hollow circles: what the label table's "
        "columns reach without an image. Dashed line: chance."
    )
    return Chart(svg, caption, "AUROC of each finding with its interval")


def _draw(axes: Any, place: int, row: Mapping[str, Any], *, is_mean: bool) -> None:
    value, around = number(row.get("auroc")), interval(row.get("auroc_ci"))
    colour = INK if is_mean else BLUE
    if around is not None:
        axes.plot(around, (place, place), color=colour, linewidth=2 if is_mean else 1.4)
    if value is not None:
        axes.plot(value, place, "D" if is_mean else "s", color=colour, markersize=4.2,
                  label=None if is_mean else "this network")  # fmt: skip
        axes.text(1.01, place, f"{three(value)}  ({ends(around)})", va="center", fontsize=7,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    if (alone := number(row.get("table_alone_auroc"))) is not None:
        axes.plot(alone, place, "o", markerfacecolor="white", color=ORANGE, markersize=4,
                  label="table alone")  # fmt: skip
    if (published := number(row.get("reference_auroc"))) is not None:
        axes.plot(published, place, "|", color=RED, markersize=9, markeredgewidth=1.6,
                  label="published")  # fmt: skip


def _limits(rows: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    known = [
        value
        for row in rows.values()
        for value in (
            number(row.get("auroc")),
            number(row.get("table_alone_auroc")),
            *(interval(row.get("auroc_ci")) or ()),
        )
        if value is not None
    ]
    return max(0.0, min(0.45, *known) - 0.03), 1.01
