"""A line chart drawn by plotext: the only place that knows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plotext._figure import _figure_class
from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

_MARKERS = {False: "braille", True: "*"}


@dataclass(frozen=True)
class Line:
    """One line of a chart; NaN breaks it. ``dots`` draws points in place of a line."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: str
    dots: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class Chart:
    """What to draw. ``level`` is a dashed horizontal line with its name."""

    lines: tuple[Line, ...]
    x_limits: tuple[float, float] | None = None
    whole_x: bool = False
    log_scale: bool = False
    level: float | None = None
    level_label: str = ""
    y_limits: tuple[float, float] | None = None
    y_ticks: tuple[float, ...] = ()
    empty: str = "nothing to draw yet"


class LineChart(Widget):
    """Redraws only when what it shows or its size has changed, and only while it is visible."""

    DEFAULT_CSS = """
    LineChart { height: 1fr; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._chart: Chart | None = None
        self._ascii_only = ascii_only
        self._drawn: tuple[Chart | None, int, int] | None = None
        self._text = Text()

    def show(self, chart: Chart) -> None:
        """Draw this from now on."""
        if chart != self._chart:
            self._chart = chart
            self.refresh()

    def render(self) -> RenderResult:
        """The chart as text with colours."""
        width, height = self.size.width, self.size.height
        wanted = (self._chart, width, height)
        if self._drawn != wanted:
            self._text = draw(self._chart, width, height, ascii_only=self._ascii_only)
            self._drawn = wanted
        return self._text


def draw(chart: Chart | None, width: int, height: int, *, ascii_only: bool = False) -> Text:
    """The chart in so many cells. Each line is cut to the least and greatest value a column."""
    if chart is None or width < 20 or height < 4:
        return Text(chart.empty if chart else "")
    lines = [(line, *_bounded(line, width, log_scale=chart.log_scale)) for line in chart.lines]
    lines = [entry for entry in lines if entry[1]]
    if not lines:
        return Text(f"\n  {chart.empty}", style="dim")
    figure = _figure_class()
    figure._limit_size(False, False)  # it would take the size of our own terminal otherwise
    figure.plot_size(width, height)
    figure.theme("clear")
    figure.frame(False)
    figure.xaxes(True, False)
    figure.yaxes(True, False)
    if chart.log_scale:
        figure.yscale("log")
    if chart.y_limits is not None:
        figure.ylim(*chart.y_limits)
    if chart.y_ticks:
        figure.yticks(list(chart.y_ticks))
    if chart.x_limits is not None:
        figure.xlim(*chart.x_limits)
        if chart.whole_x:
            figure.xticks(_whole_ticks(*chart.x_limits, most=max(2, width // 10)))
    _draw_level(figure, chart, lines, ascii_only=ascii_only)
    for line, xs, ys in lines:
        marker = line.marker or _MARKERS[ascii_only]
        for run_xs, run_ys in _unbroken(xs, ys):
            if line.dots or len(run_xs) == 1:
                figure.scatter(run_xs, run_ys, marker="x" if ascii_only else "•", color=line.colour)
            else:
                figure.plot(run_xs, run_ys, marker=marker, color=line.colour)
    text = Text.from_ansi(figure.build(), no_wrap=True)
    text.rstrip()
    return _plain_axes(text, ascii_only=ascii_only)


def _draw_level(
    figure: object,
    chart: Chart,
    lines: Sequence[tuple[Line, list[float], list[float]]],
    *,
    ascii_only: bool,
) -> None:
    if chart.level is None:
        return
    first = min(xs[0] for _, xs, _ in lines)
    last = max(xs[-1] for _, xs, _ in lines)
    marker = "-" if ascii_only else "┄"
    figure.plot([first, max(last, first + 1)], [chart.level] * 2, marker=marker, color="gray")  # type: ignore[attr-defined]
    figure.text(  # type: ignore[attr-defined]
        chart.level_label, x=max(last, first + 1), y=chart.level, alignment="right", color="gray"
    )


def _whole_ticks(low: float, high: float, *, most: int) -> list[int]:
    """Whole numbers between the limits, evenly apart."""
    first, last = math.ceil(low), math.floor(high)
    return list(range(first, last + 1, max(1, math.ceil((last - first) / most))))


def _bounded(line: Line, width: int, *, log_scale: bool) -> tuple[list[float], list[float]]:
    """At most two points a column; a value that the scale can't show breaks the line."""
    xs = list(line.xs)
    ys = [
        y if math.isfinite(y) and (y > 0 or not log_scale) else math.nan
        for y in map(float, line.ys)
    ]
    if not any(math.isfinite(y) for y in ys):
        return [], []
    if len(xs) <= 2 * width:
        return xs, ys
    per_column = math.ceil(len(xs) / width)
    kept_xs: list[float] = []
    kept_ys: list[float] = []
    for start in range(0, len(xs), per_column):
        column = range(start, min(start + per_column, len(xs)))
        finite = [i for i in column if math.isfinite(ys[i])]
        ends = (
            {min(finite, key=ys.__getitem__), max(finite, key=ys.__getitem__)}
            if finite
            else {start}
        )
        for i in sorted(ends):
            kept_xs.append(xs[i])
            kept_ys.append(ys[i])
    return kept_xs, kept_ys


def _unbroken(xs: list[float], ys: list[float]) -> list[tuple[list[float], list[float]]]:
    """The runs between values that are not finite: plotext would draw across them."""
    runs: list[tuple[list[float], list[float]]] = []
    fresh = True
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            fresh = True
            continue
        if fresh:
            runs.append(([], []))
            fresh = False
        runs[-1][0].append(x)
        runs[-1][1].append(y)
    return runs


def _plain_axes(text: Text, *, ascii_only: bool) -> Text:
    if not ascii_only:
        return text
    table = str.maketrans("┌┐└┘─│┤├┬┴┼", "+++++|+++++"[:11])
    return Text(text.plain.translate(table), no_wrap=True)
