"""A line chart: axes by plotext (imported only here), lines by our raster."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from cxr_tui.widgets.chart_raster import Raster, joined
from cxr_tui.widgets.chart_scale import Scale, can_be_drawn, scale_over, tick_labels

# Okabe and Ito's blue and orange, adjusted to be readable on black and on white.
_STYLES = {"blue": "#3a8fcc", "orange": "#d07a00", "gray": "#767676"}
_ASCII_AXES = str.maketrans("┌┐└┘─│┤├┬┴┼", "++++-|+++++")


@dataclass(frozen=True)
class Line:
    """One line of a chart; NaN breaks it. ``dots`` draws points instead of a line.

    ``marker`` is an ASCII character that it is drawn with.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: str
    dots: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class Chart:
    """The content of a chart. ``level`` is a dashed horizontal line with its name.

    ``across`` and ``up`` name the axes of an exported chart.
    """

    lines: tuple[Line, ...]
    x_limits: tuple[float, float] | None = None
    whole_x: bool = False
    log_scale: bool = False
    level: float | None = None
    level_label: str = ""
    y_limits: tuple[float, float] | None = None
    y_ticks: tuple[float, ...] = ()
    empty: str = "nothing to draw yet"
    across: str = "epoch"
    up: str = ""


class LineChart(Widget):
    """Redraws only when its content or size has changed, and only while it is visible."""

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
        """Set the chart to draw."""
        if chart != self._chart:
            self._chart = chart
            self.refresh()

    def render(self) -> RenderResult:
        """The chart as coloured text."""
        width, height = self.size.width, self.size.height
        wanted = (self._chart, width, height)
        if self._drawn != wanted:
            self._text = draw(self._chart, width, height, ascii_only=self._ascii_only)
            self._drawn = wanted
        return self._text


def draw(chart: Chart | None, width: int, height: int, *, ascii_only: bool = False) -> Text:
    """Draw the chart in cells. Each line is reduced to its minimum and maximum per column."""
    if chart is None or width < 20 or height < 4:
        return Text(chart.empty if chart else "")
    lines = [(line, *bounded(line, width, log_scale=chart.log_scale)) for line in chart.lines]
    lines = [entry for entry in lines if entry[1]]
    across, up = scales(chart)
    if not lines or across is None or up is None:
        return Text(f"\n  {chart.empty}", style="dim")
    axes = _axes(chart, across, up, width, height)
    left = max(axes[0].find("┤"), axes[0].find("│")) + 1
    rows = next(row for row, line in enumerate(axes) if "└" in line)
    cells = _Cells(width - left, rows)
    for line, xs, ys in lines:
        for run in unbroken(xs, ys):
            points = [(across.share(x), up.share(y)) for x, y in run]
            is_dots = line.dots or len(points) == 1
            sign = _sign_of(line, is_dots, ascii_only)
            cells.add(points, line.colour, sign, ascii_only, joins=not is_dots)
    if level_is_drawn(chart):
        cells.add_level(up.share(chart.level or 0.0), chart.level_label, "-" if ascii_only else "┄")
    text = Text(no_wrap=True, end="")
    for row, axis in enumerate(axes[:height]):
        text.append("\n" if row else "").append(
            _plain_axis(axis[:left] if row < rows else axis, ascii_only=ascii_only)
        )
        if row < rows:
            cells.append_row(text, row)
    return text


def level_is_drawn(chart: Chart) -> bool:
    """Whether it has a level that its scale can show."""
    level = chart.level
    return level is not None and can_be_drawn(level) and (level > 0 or not chart.log_scale)


def scales(chart: Chart) -> tuple[Scale | None, Scale | None]:
    """The axes: horizontal, over all points or the given limits; vertical, including the level."""
    xs = chart.x_limits or [x for line in chart.lines for x in line.xs]
    if chart.y_limits is not None:
        return scale_over(xs), Scale(*chart.y_limits)
    ys = [y for line in chart.lines for y in line.ys]
    known = scale_over(ys, log=chart.log_scale)
    if known is None or chart.level is None:
        return scale_over(xs), known
    return scale_over(xs), scale_over([*ys, chart.level], log=chart.log_scale)


def x_ticks(chart: Chart, across: Scale, most: int) -> list[float]:
    """The tick values under the chart."""
    if chart.whole_x:
        return [float(tick) for tick in _whole_ticks(across.low, across.high, most=most)]
    return across.ticks(most)


def _sign_of(line: Line, is_dots: bool, ascii_only: bool) -> str:
    """The character of each point; '' if points are joined."""
    if is_dots and not (line.dots and line.marker):
        return "x" if ascii_only else "•"
    return line.marker or ""


class _Cells:
    """Characters and colours of the plot area."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}

    def add(
        self,
        points: list[tuple[float, float]],
        colour: str,
        sign: str,
        ascii_only: bool,
        *,
        joins: bool,
    ) -> None:
        """Add points, given as fractions, as single characters or joined by a line."""
        if joins:
            raster = Raster(self._columns, self._rows, braille=not (ascii_only or sign))
            raster.draw(points)
            places = list(raster.signs())
        else:
            places = [self._place(point, sign) for point in points]
        for column, row, drawn in places:
            shown = sign if joins and sign and not ascii_only else drawn
            below = self._signs.get((row, column), (" ", ""))[0]
            self._signs[row, column] = (joined(below, shown), colour)

    def add_level(self, share: float, label: str, sign: str) -> None:
        """Add a dashed line behind the rest, with its name at the right end."""
        row = self._place((0.0, share), sign)[1]
        for column in range(self._columns):
            self._signs.setdefault((row, column), (sign, "gray"))
        start = max(0, self._columns - len(label))
        for offset, letter in enumerate(label[: self._columns]):
            self._signs[row, start + offset] = (letter, "gray")

    def append_row(self, text: Text, row: int) -> None:
        """Append one row of the plot area."""
        signs = [self._signs.get((row, column), (" ", "")) for column in range(self._columns)]
        for colour, run in itertools.groupby(signs, key=lambda sign: sign[1]):
            text.append("".join(sign for sign, _ in run), style=_STYLES.get(colour, colour))

    def _place(self, point: tuple[float, float], sign: str) -> tuple[int, int, str]:
        x, y = point
        return round(x * (self._columns - 1)), round((1 - y) * (self._rows - 1)), sign


def _axes(chart: Chart, across: Scale, up: Scale, width: int, height: int) -> list[str]:
    """The axes and their numbers, by plotext, around an empty plot area."""
    from plotext._figure import _figure_class  # not before the first paint

    figure = _figure_class()
    figure._limit_size(False, False)  # otherwise it would use the size of our terminal
    figure.plot_size(width, height)
    figure.theme("clear")
    figure.frame(False)
    figure.xaxes(True, False)
    figure.yaxes(True, False)
    # plotext's logarithmic scale chooses ticks such as 0.067, so we compute the positions.
    figure.ylim(up.place(up.low), up.place(up.high))
    y_ticks = list(chart.y_ticks) or up.ticks(max(3, height // 2 if up.log else height // 3))
    figure.yticks([up.place(tick) for tick in y_ticks], tick_labels(y_ticks))
    figure.xlim(across.low, across.high)
    ticks = x_ticks(chart, across, max(2, width // 10))
    figure.xticks(ticks, tick_labels(ticks))
    figure.scatter([across.low], [up.place(up.low)], marker=" ")
    return [line.plain for line in Text.from_ansi(figure.build(), no_wrap=True).split("\n")]


def _whole_ticks(low: float, high: float, *, most: int) -> list[int]:
    """Evenly spaced whole numbers between the limits."""
    first, last = math.ceil(low), math.floor(high)
    return list(range(first, last + 1, max(1, math.ceil((last - first) / most))))


def bounded(line: Line, width: int, *, log_scale: bool) -> tuple[list[float], list[float]]:
    """At most two points per column; a value that the scale can't show breaks the line."""
    xs = list(line.xs)
    ys = [
        y if can_be_drawn(y) and (y > 0 or not log_scale) else math.nan for y in map(float, line.ys)
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


def unbroken(xs: list[float], ys: list[float]) -> list[list[tuple[float, float]]]:
    """The segments of points between non-finite values."""
    runs: list[list[tuple[float, float]]] = []
    fresh = True
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            fresh = True
            continue
        if fresh:
            runs.append([])
            fresh = False
        runs[-1].append((x, y))
    return runs


def _plain_axis(axis: str, *, ascii_only: bool) -> str:
    return axis.translate(_ASCII_AXES) if ascii_only else axis
