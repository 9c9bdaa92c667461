"""An image with its map, as large as the terminal allows: half-block cells, or letters."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from core.evaluation.maps.overlay import BOX_COLOUR, Colours
from cxr_tui.widgets.xray_256 import numbered
from cxr_tui.widgets.xray_picture import Look, Shown, fitted, peak_place, picture

Means = Literal["true colour", "256 colours", "letters"]

_RAMP = " .:-=+*#%@"
_STRONG, _STRONGEST = 0.35, 0.7
_GAP = 2


class XrayView(Widget):
    """One image; redrawn if the image, the look, the size or the theme has changed."""

    DEFAULT_CSS = """
    XrayView { width: 1fr; height: 1fr; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ascii_only = ascii_only
        self._shown: Shown | None = None
        self._looks: tuple[Look, ...] = (Look(),)
        self._instead = ""
        self._strips: list[Strip] = []
        self._drawn: tuple[object, ...] = ()
        self._drawn_of: Shown | None = None

    def show(self, shown: Shown | None, looks: tuple[Look, ...], instead: str = "") -> None:
        """Show the image, once for each look, side by side; or the words ``instead``."""
        self._shown, self._looks, self._instead = shown, looks, instead
        self.refresh()

    @property
    def means(self) -> Means:
        """What the picture is drawn with here; 16 colours have four greys, too few for blocks."""
        if self._ascii_only or self.app.no_color:
            return "letters"
        known: dict[str | None, Means] = {"truecolor": "true colour", "256": "256 colours"}
        return known.get(self.app.console.color_system, "letters")

    def render_line(self, y: int) -> Strip:
        """One line of the picture."""
        wanted = (self._looks, self._instead, self.size, self.means, self.rich_style)
        if wanted != self._drawn or self._shown is not self._drawn_of:
            self._strips, self._drawn, self._drawn_of = self._draw(), wanted, self._shown
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        columns, rows = self.size.width, self.size.height
        shown = self._shown
        if shown is None or columns < 4 or rows < 2:
            words = Text(self._instead).wrap(self.app.console, max(1, columns - 2))
            return [Strip([Segment(f" {line.plain}", self.rich_style)]) for line in words]
        count = len(self._looks)
        each = (columns - _GAP * (count - 1)) // count
        drawn = [self._cells(shown, look, each, rows) for look in self._looks]
        height = max(len(lines) for lines, _ in drawn)
        width = sum(width for _, width in drawn) + _GAP * (count - 1)
        margin = Segment(" " * ((columns - width) // 2), self.rich_style)
        gap = Segment(" " * _GAP, self.rich_style)
        above = [Strip.blank(columns, self.rich_style)] * ((rows - height) // 2)
        strips = []
        for row in range(height):
            segments = [margin]
            for place, (lines, _) in enumerate(drawn):
                segments += ([gap] if place else []) + lines[row]
            strips.append(Strip(segments).adjust_cell_length(columns, self.rich_style))
        return above + strips

    def _cells(
        self, shown: Shown, look: Look, columns: int, rows: int
    ) -> tuple[list[list[Segment]], int]:
        width, height = fitted(shown, look, columns, rows)
        if self.means == "letters":
            # The image alone: digits show where the map is strong.
            pixels = picture(shown, replace(look, view="image"), width, height)
            strength = shown.strength_HW if look.view != "image" else None
            peak = peak_place(shown, look, width, height)
            return _letters(pixels, strength, look, peak), width
        in_256 = self.means == "256 colours"
        pixels = picture(shown, look, width, height, in_256=in_256)
        return _half_blocks(pixels, in_256=in_256), width


def _half_blocks(pixels_HW3: Colours, *, in_256: bool) -> list[list[Segment]]:
    """Two pixels per cell: the upper in the foreground colour, the lower behind it."""
    upper, lower = pixels_HW3[0::2].astype(np.int64), pixels_HW3[1::2].astype(np.int64)
    codes = ((upper @ _WEIGHTS) << 24) | (lower @ _WEIGHTS)
    lines = []
    for row in codes.tolist():
        segments, start = [], 0
        for place in range(1, len(row) + 1):
            if place == len(row) or row[place] != row[start]:
                style = _style(row[start], in_256=in_256)
                segments.append(Segment("▀" * (place - start), style))
                start = place
        lines.append(segments)
    return lines


_WEIGHTS = np.array([1 << 16, 1 << 8, 1])


@lru_cache(maxsize=1 << 16)
def _style(code: int, *, in_256: bool) -> Style:
    colour = numbered if in_256 else _colour
    return Style(color=colour(code >> 24), bgcolor=colour(code & 0xFFFFFF))


@lru_cache(maxsize=1 << 16)
def _colour(code: int) -> Color:
    return Color.from_rgb(code >> 16, (code >> 8) & 255, code & 255)


def _letters(
    pixels_HW3: Colours,
    strength_HW: NDArray[np.floating] | None,
    look: Look,
    peak: tuple[int, int] | None,
) -> list[list[Segment]]:
    """One letter per cell by the image's brightness; where the map is strong, its tenths over it.

    Tenths are in every other cell, so that the image is visible between them; bold and reverse make
    them stand out, but no digit depends on it.
    """
    rows = pixels_HW3.shape[0] // 2
    cells = pixels_HW3[: 2 * rows].reshape(rows, 2, -1, 3)
    is_box = (cells == BOX_COLOUR).all(axis=3).any(axis=1)
    brightness = cells.mean(axis=(1, 3)) / 255
    strength = np.zeros(brightness.shape)
    if strength_HW is not None:
        strength = _strength_of_cells(strength_HW, look, brightness.shape)
        strength[strength < max(_STRONG, look.threshold)] = 0
    if look.view == "map alone":
        brightness[:] = 0
    levels = np.minimum((brightness * len(_RAMP)).astype(np.int64), len(_RAMP) - 1)
    tenths = np.minimum((10 * strength).astype(np.int64), 9)
    lines = []
    for row in range(rows):
        segments = []
        for column in range(brightness.shape[1]):
            sign = _RAMP[levels[row, column]]
            if tenths[row, column] and (row + column) % 2 == 0:
                sign = str(tenths[row, column])
            if is_box[row, column]:
                sign = "O"
            if peak is not None and (column, row) == (peak[0], peak[1] // 2):
                sign = "X"
            at = strength[row, column]
            segments.append(Segment(sign, _letter_style(at > 0, at >= _STRONGEST)))
        lines.append(segments)
    return lines


def _strength_of_cells(
    strength_HW: NDArray[np.floating], look: Look, shape: tuple[int, ...]
) -> NDArray[np.floating]:
    height, width = strength_HW.shape
    left, top, across, down = look.region
    rows = ((top + down * (np.arange(shape[0]) + 0.5) / shape[0]) * height).astype(np.int64)
    columns = ((left + across * (np.arange(shape[1]) + 0.5) / shape[1]) * width).astype(np.int64)
    cells: NDArray[np.floating] = strength_HW[
        np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
    ]
    return cells


@lru_cache(maxsize=8)
def _letter_style(is_strong: bool, is_strongest: bool) -> Style:
    return Style(bold=is_strong, reverse=is_strongest)
