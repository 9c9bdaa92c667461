"""A chart as PNG, SVG and CSV, for a report or another program."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Literal

from core.store.csv_frames import csv_of
from cxr_tui.widgets.chart_scale import Scale, tick_labels
from cxr_tui.widgets.line_chart import (
    Chart,
    Line,
    bounded,
    level_is_drawn,
    scales,
    unbroken,
    x_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_PX = (1200, 700)
_DPI = 100
_INK, _FAINT = "#222222", "#d8d8d8"
_COLOURS = {"blue": "#0072b2", "orange": "#d55e00", "gray": "#777777"}  # colour-blind safe
_STROKES: dict[str, Literal["-", ":", "--"]] = {"·": ":", "|": "--"}


def chart_files(chart: Chart, title: str, caption: str) -> dict[str, bytes]:
    """The chart's files by suffix, pictures on white; empty if there is nothing to draw."""
    across, up = scales(chart)
    if across is None or up is None:
        return {}
    from matplotlib.figure import Figure  # imported when a chart is first exported
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    inches = [side / _DPI for side in SIZE_PX]
    layout = ConstrainedLayoutEngine(w_pad=0.25, h_pad=0.15)
    figure = Figure(figsize=(inches[0], inches[1]), dpi=_DPI, layout=layout)
    axes = figure.add_subplot()
    _draw_axes(axes, chart, across, up)
    for line in chart.lines:
        _draw_line(axes, line, across, up)
    if level_is_drawn(chart):
        _draw_level(axes, chart.level or 0.0, chart.level_label)
    if len(chart.lines) > 1 or chart.lines[0].label != title:
        _draw_legend(axes, chart)
    axes.set_title(title, loc="left", fontsize=16, color=_INK, pad=34, parse_math=False)
    words = {"fontsize": 10, "color": _COLOURS["gray"], "parse_math": False}
    figure.supxlabel(caption, x=0.01, ha="left", **words)
    files = {}
    for kind, about in (("png", {}), ("svg", {"Date": None})):  # equal charts are equal files
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata=about)
        files[f".{kind}"] = stream.getvalue()
    return files | {".csv": chart_csv(chart)}


def chart_csv(chart: Chart) -> bytes:
    """Every point: line, x, value; empty if a value is not finite."""
    import pandas as pd

    rows: list[tuple[str, float | None, float | None]] = [
        (line.label, x, y if math.isfinite(y) else None)
        for line in chart.lines
        for x, y in zip(line.xs, line.ys, strict=True)
    ]
    if chart.level is not None:
        rows.append((chart.level_label, None, chart.level))
    return csv_of(pd.DataFrame(rows, columns=["line", chart.across, "value"], dtype=object))


def _draw_axes(axes: Axes, chart: Chart, across: Scale, up: Scale) -> None:
    axes.set_xlim(across.low, across.high)
    axes.set_yscale("log" if up.log else "linear")
    axes.set_ylim(up.low, up.high)
    ticks = x_ticks(chart, across, 12)
    axes.set_xticks(ticks, tick_labels(ticks))
    ticks = list(chart.y_ticks) or up.ticks(8)
    axes.set_yticks(ticks, tick_labels(ticks))
    axes.minorticks_off()
    axes.tick_params(labelsize=12, color=_INK, labelcolor=_INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=_FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(chart.across, fontsize=12, color=_INK)
    axes.set_ylabel(chart.up, fontsize=12, color=_INK)


def _draw_line(axes: Axes, line: Line, across: Scale, up: Scale) -> None:
    """A line with gaps at values that can't be shown, or its points."""
    colour = _COLOURS.get(line.colour, _INK)
    xs, ys = bounded(line, SIZE_PX[0], log_scale=up.log)
    for run in unbroken(xs, ys):
        points = [(across.within(x), up.within(y)) for x, y in run]
        is_dots = line.dots or len(points) == 1
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            clip_on=False,
            linestyle="" if is_dots else _STROKES.get(line.marker or "", "-"),
            linewidth=1.6,
            marker="o" if is_dots else "",
            markersize=8,
        )


def _draw_level(axes: Axes, value: float, label: str) -> None:
    """A dashed line with its name."""
    axes.axhline(value, color=_COLOURS["gray"], linewidth=1.4, linestyle=(0, (5, 4)))
    axes.annotate(
        label,
        (1.0, value),
        (-4, 5),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=_COLOURS["gray"],
        fontsize=12,
        parse_math=False,
    )


def _draw_legend(axes: Axes, chart: Chart) -> None:
    """What each line means, above them."""
    from matplotlib.lines import Line2D

    handles = []
    for line in chart.lines:
        colour = _COLOURS.get(line.colour, _INK)
        handle = Line2D([], [], color=colour, marker="o" if line.dots else "", linewidth=2)
        handle.set_linestyle("" if line.dots else _STROKES.get(line.marker or "", "-"))
        handles.append(handle)
    legend = axes.legend(
        handles,
        [line.label for line in chart.lines],
        loc="lower left",
        bbox_to_anchor=(-0.008, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=12,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
