"""A chart as a PNG and as CSV, for a report or another program."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.store.formula_cells import escape_formula
from cxr_tui.widgets.chart_scale import Scale, tick_labels
from cxr_tui.widgets.line_chart import Chart, Line, scales, x_ticks

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

SIZE_PX = (1200, 700)
_LEFT, _TOP, _RIGHT, _BOTTOM = 110, 90, 40, 110
_INK, _FAINT, _PAPER = "#222222", "#d8d8d8", "#ffffff"
_COLOURS = {"blue": "#0072b2", "orange": "#d55e00", "gray": "#777777"}  # told apart by all eyes


def chart_csv(chart: Chart) -> bytes:
    """Every point: line, epoch, value; empty where a value is not finite."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["line", "epoch", "value"])
    for line in chart.lines:
        for x, y in zip(line.xs, line.ys, strict=True):
            writer.writerow([escape_formula(line.label), x, y if math.isfinite(y) else ""])
    if chart.level is not None:
        writer.writerow([escape_formula(chart.level_label), "", chart.level])
    return stream.getvalue().encode()


def chart_png(chart: Chart, title: str, caption: str) -> bytes | None:
    """A picture of the chart on white; None where there is nothing to draw."""
    from PIL import Image, ImageDraw  # loaded when a chart is first exported, not before

    across, up = scales(chart)
    if across is None or up is None:
        return None
    image = Image.new("RGB", SIZE_PX, _PAPER)
    picture = _Picture(ImageDraw.Draw(image), across, up)
    picture.axes(chart)
    if chart.level is not None and (chart.level > 0 or not chart.log_scale):
        picture.level(chart.level, chart.level_label)
    for line in chart.lines:
        picture.line(line)
    picture.words(title, caption, chart)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class _Picture:
    """What is drawn on, and the axes."""

    draw: ImageDraw.ImageDraw
    across: Scale
    up: Scale

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        width, height = SIZE_PX[0] - _LEFT - _RIGHT, SIZE_PX[1] - _TOP - _BOTTOM
        return (
            _LEFT + width * self.across.share(x),
            _TOP + height * (1 - self.up.share(y)),
        )

    def axes(self, chart: Chart) -> None:
        """Lines, ticks and numbers."""
        font = _font(18)
        left, bottom = self.place(self.across.low, self.up.low)
        right, top = self.place(self.across.high, self.up.high)
        ticks = self.up.ticks(8)
        for tick, label in zip(ticks, tick_labels(ticks), strict=True):
            y = self.place(self.across.low, tick)[1]
            self.draw.line([left, y, right, y], fill=_FAINT)
            self.draw.text((left - 10, y), label, fill=_INK, font=font, anchor="rm")
        ticks = x_ticks(chart, self.across, 12)
        for tick, label in zip(ticks, tick_labels(ticks), strict=True):
            x = self.place(tick, self.up.low)[0]
            self.draw.line([x, bottom, x, bottom + 6], fill=_INK)
            self.draw.text((x, bottom + 12), label, fill=_INK, font=font, anchor="ma")
        self.draw.line([left, top, left, bottom, right, bottom], fill=_INK, width=2)
        self.draw.text(
            ((left + right) / 2, bottom + 40), "epoch", fill=_INK, font=font, anchor="ma"
        )

    def level(self, value: float, label: str) -> None:
        """A dashed line with its name."""
        left, y = self.place(self.across.low, value)
        right = self.place(self.across.high, value)[0]
        for start in range(round(left), round(right), 14):
            self.draw.line([start, y, min(start + 8, right), y], fill=_COLOURS["gray"], width=2)
        self.draw.text(
            (right - 4, y - 6), label, fill=_COLOURS["gray"], font=_font(18), anchor="rs"
        )

    def line(self, line: Line) -> None:
        """A line with gaps where a value can't be shown, or its points."""
        colour = _COLOURS.get(line.colour, _INK)
        for run in _runs(line, self.up):
            places = [self.place(x, y) for x, y in run]
            if line.dots or len(places) == 1:
                for x, y in places:
                    self.draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colour)
            else:
                self.draw.line(places, fill=colour, width=2, joint="curve")

    def words(self, title: str, caption: str, chart: Chart) -> None:
        """What it is, whose it is, what each line means."""
        self.draw.text((_LEFT, 24), title, fill=_INK, font=_font(26))
        font, x = _font(18), float(_LEFT)
        for line in chart.lines:
            colour = _COLOURS.get(line.colour, _INK)
            if line.dots:
                self.draw.ellipse([x + 8, 65, x + 20, 77], fill=colour)
            else:
                self.draw.line([x, 71, x + 28, 71], fill=colour, width=3)
            self.draw.text((x + 36, 71), line.label, fill=_INK, font=font, anchor="lm")
            x += 36 + self.draw.textlength(line.label, font=font) + 30
        self.draw.text((_LEFT, SIZE_PX[1] - 34), caption, fill=_COLOURS["gray"], font=_font(16))


def _runs(line: Line, up: Scale) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in zip(line.xs, line.ys, strict=True):
        if math.isfinite(y) and (y > 0 or not up.log):
            run.append((x, y))
            continue
        if run:
            yield run
        run = []
    if run:
        yield run


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
