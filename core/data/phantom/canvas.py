"""The drawing board: coordinates in 1024ths of the image, soft edges, smooth noise, ink.

All coordinates are in units of 1/1024 of the image's side: the pixels of NIH's originals and of its
box table. So a chest can be drawn at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

UNITS = 1024
"""The side of every image in units."""

Floats = npt.NDArray[np.floating[Any]]
"""Arrays of float32, a type that the checker can't follow through arithmetic with scalars."""
Point = tuple[float, float]

_SUPERSAMPLE = 2


@dataclass(frozen=True)
class Box:
    """A rectangle in units; (x, y) is its upper left corner."""

    x: float
    y: float
    w: float
    h: float

    @property
    def centre(self) -> Point:
        """The middle, (x, y)."""
        return self.x + self.w / 2, self.y + self.h / 2

    def clipped(self, low: float = 2.0, high: float = UNITS - 2.0) -> Box:
        """The part inside the image."""
        left, top = max(self.x, low), max(self.y, low)
        right, bottom = min(self.x + self.w, high), min(self.y + self.h, high)
        return Box(left, top, max(right - left, 1.0), max(bottom - top, 1.0))

    def overlap(self, other: Box) -> float:
        """Intersection over the smaller of the two areas, 0 to 1."""
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / min(self.w * self.h, other.w * other.h)


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels, with the units at their centres.

    ``x_1W`` and ``y_H1`` broadcast to the window's shape (H, W); indexing an image with
    ``rows, columns`` gives the pixels.
    """

    rows: slice
    columns: slice
    x_1W: Floats
    y_H1: Floats

    @property
    def at(self) -> tuple[slice, slice]:
        """The slices that index an image."""
        return self.rows, self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.y_H1.shape[0], self.x_1W.shape[1]


def window(size_px: int, box: Box | None = None, margin: float = 0.0) -> Window:
    """The pixels of ``box`` with a margin of ``margin`` units; the whole image without a box."""
    centres_S = ((np.arange(size_px) + 0.5) * (UNITS / size_px)).astype(np.float32)
    rows, columns = slice(0, size_px), slice(0, size_px)
    if box is not None:
        rows = _pixel_range(box.y - margin, box.y + box.h + margin, size_px)
        columns = _pixel_range(box.x - margin, box.x + box.w + margin, size_px)
    return Window(rows, columns, centres_S[None, columns], centres_S[rows, None])


def _pixel_range(low: float, high: float, size_px: int) -> slice:
    scale = size_px / UNITS
    first = min(max(int(np.floor(low * scale)), 0), size_px - 1)
    return slice(first, max(min(int(np.ceil(high * scale)), size_px), first + 1))


def soft(distance: Floats, softness: float) -> Floats:
    """A smooth step: 0 where ``distance`` is below -softness, 1 above +softness."""
    step = np.clip(distance * np.float32(0.5 / softness) + np.float32(0.5), 0.0, 1.0)
    smooth: Floats = step * step * (3.0 - 2.0 * step)
    return smooth


def field(rng: np.random.Generator, shape: tuple[int, int], extent: Point, cell: float) -> Floats:
    """Smooth noise, mean 0 and standard deviation near 1, over a window of ``extent`` (w, h) units.

    The noise is drawn on a grid of ``cell`` units and upsampled to ``shape`` pixels, so that it
    looks the same at every image size.
    """
    columns, rows = (max(round(side / cell), 1) + 3 for side in extent)
    grid = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    # Half a cell is cropped on each side, since upsampling makes the outermost cells flat.
    smooth = grid.resize(
        (shape[1], shape[0]), Image.Resampling.BICUBIC, box=(1.0, 1.0, columns - 1.0, rows - 1.0)
    )
    return np.asarray(smooth) * np.float32(1.4)


def curve(knots_y: Sequence[float], knots_x: Sequence[float], y: Floats) -> Floats:
    """A curve through some knots, smoothed, evaluated at the heights ``y``."""
    line = np.interp(np.arange(-64, UNITS + 64), knots_y, knots_x)
    for width in (31, 31):
        # Edges are repeated, so that averaging does not pull the ends towards 0.
        padded = np.pad(line, width // 2, mode="edge")
        sums = np.cumsum(np.concatenate([[0.0], padded]))
        line = (sums[width:] - sums[:-width]) / width
    return np.interp(y, np.arange(-64, UNITS + 64), line).astype(np.float32)


class Ink:
    """Strokes and shapes on an empty layer, antialiased; strengths from 0 to 1.

    A later stroke covers an earlier one: draw faint ones first.
    """

    def __init__(self, size_px: int) -> None:
        side_px = size_px * _SUPERSAMPLE
        self._size_px = size_px
        self._scale = side_px / UNITS
        self._layer = Image.new("L", (side_px, side_px))
        self._draw = ImageDraw.Draw(self._layer)

    def stroke(self, points: Sequence[Point], width: float, strength: float) -> None:
        """A line through ``points``, ``width`` units wide."""
        width_px = width * self._scale
        # A line can't be thinner than a pixel: it gets fainter instead.
        ink = round(255 * strength * min(width_px, 1.0))
        self._draw.line(self._pixels(points), ink, max(1, round(width_px)), joint="curve")

    def shape(self, points: Sequence[Point], strength: float) -> None:
        """A filled polygon."""
        self._draw.polygon(self._pixels(points), round(255 * strength))

    def disc(self, centre: Point, radius: float, strength: float) -> None:
        """A filled circle."""
        x, y = centre
        corners = self._pixels([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(corners, round(255 * strength))

    def layer(self, blur: int = 1) -> Floats:
        """The drawing, (S, S), 0 to 1; ``blur`` > 1 downsamples and upsamples by that factor."""
        size_px = self._size_px
        shrunk = self._layer.reduce(_SUPERSAMPLE * blur)
        if blur > 1:
            shrunk = shrunk.resize((size_px, size_px), Image.Resampling.BICUBIC)
        return np.asarray(shrunk, dtype=np.float32) * np.float32(1 / 255)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        scale = self._scale
        return [(x * scale, y * scale) for x, y in points]
