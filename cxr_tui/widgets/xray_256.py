"""An image and its map in the 256 colours of xterm, as tmux shows them over SSH by default.

The nearest of these colours to a transparent map over an image jumps between hues, so nothing is
mixed here: the image keeps the 24 greys, and the map lies over it as a raster of eight colours.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color

from core.evaluation.maps.overlay import Colours, Grey

RAMP = (18, 55, 126, 132, 203, 179, 220, 226)
"""From no evidence to the peak, by palette number.

Of the palette's colours those nearest to plasma's at eight even steps of CIELAB lightness, where
lightness counts six times. Their L* is 14, 28, 39, 51, 62, 74, 87, 97.
"""

_SHOWN_FROM = 0.25
"""Weaker evidence leaves the image as it is; in true colour it is hardly seen."""

_BLACK, _WHITE, _FIRST_GREY = 16, 231, 232
_RASTER = np.array([[0.125, 0.625], [0.875, 0.375]])


def blended_in_256(
    grey_HW: Grey, strength_HW: NDArray[np.floating], *, opacity: float, threshold: float
) -> Colours:
    """RGB [H, W, 3] of the palette's colours: the more opaque, the more pixels are the map's."""
    height, width = grey_HW.shape
    raster_HW = np.tile(_RASTER, (height // 2 + 1, width // 2 + 1))[:height, :width]
    is_map_HW = (strength_HW >= max(threshold, _SHOWN_FROM)) & (raster_HW < max(opacity, 0.15))
    numbers_HW = np.where(is_map_HW, _levels(strength_HW), _greys(grey_HW))
    colours: Colours = _palette()[numbers_HW]
    return colours


def map_alone_in_256(strength_HW: NDArray[np.floating], *, threshold: float) -> Colours:
    """RGB [H, W, 3]: the ramp alone; black below the threshold."""
    is_map_HW = strength_HW >= max(threshold, 1e-9)
    colours: Colours = _palette()[np.where(is_map_HW, _levels(strength_HW), _BLACK)]
    return colours


def grey_in_256(grey_HW: Grey) -> Colours:
    """RGB [H, W, 3] of the palette's greys."""
    colours: Colours = _palette()[_greys(grey_HW)]
    return colours


@cache
def numbered(code: int) -> Color:
    """A colour, 0xRRGGBB, by its palette number; rich itself would darken the lighter greys."""
    rgb = code >> 16, (code >> 8) & 255, code & 255
    number = _numbers().get(rgb)
    if number is None:  # the box's, the peak's
        distances = ((_palette()[_BLACK:].astype(np.int64) - rgb) ** 2).sum(axis=1)
        number = _BLACK + int(distances.argmin())
    return Color.from_ansi(number)


def _levels(strength_HW: NDArray[np.floating]) -> NDArray[np.intp]:
    levels = (strength_HW * len(RAMP)).astype(np.intp).clip(0, len(RAMP) - 1)
    numbers: NDArray[np.intp] = np.array(RAMP)[levels]
    return numbers


def _greys(grey_HW: Grey) -> NDArray[np.intp]:
    """24 greys from 8 to 238 in steps of 10, black and white beyond."""
    steps = np.rint((grey_HW.astype(np.float64) - 8) / 10).astype(np.intp)
    numbers = _FIRST_GREY + steps.clip(0, 23)
    return np.where(grey_HW < 4, _BLACK, np.where(grey_HW > 246, _WHITE, numbers))


@cache
def _palette() -> NDArray[np.uint8]:
    """xterm's: 16 colours that every terminal has its own of, a cube of 6 × 6 × 6, 24 greys."""
    steps = (0, 95, 135, 175, 215, 255)
    cube = [(red, green, blue) for red in steps for green in steps for blue in steps]
    greys = [(value, value, value) for value in range(8, 239, 10)]
    return np.array([(0, 0, 0)] * 16 + cube + greys, dtype=np.uint8)


@cache
def _numbers() -> dict[tuple[int, ...], int]:
    return {tuple(_palette()[number].tolist()): number for number in range(_BLACK, 256)}
