"""An image with a map over it, as pixels for PNG files and terminals; imports no torch."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Colours = NDArray[np.uint8]

BOX_COLOUR = (0, 229, 255)
PEAK_COLOUR = (255, 255, 255)
_EDGE_COLOUR = (0, 0, 0)

_COLOUR_MAP = "plasma"
"""Perceptually uniform (van der Walt and Smith 2015), and distinct from every grey."""


@cache
def colour_table() -> Colours:
    """256 × RGB, from no evidence to the map's peak."""
    from matplotlib import colormaps  # takes a moment: when a map is first drawn

    table: Colours = (colormaps[_COLOUR_MAP](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return table


def blended(
    grey_HW: Grey,
    strength_HW: NDArray[np.floating],
    *,
    opacity: float = 0.6,
    threshold: float = 0.0,
) -> Colours:
    """RGB [H, W, 3]: the map's colour over the image, more opaque where stronger.

    Args:
        grey_HW: the image.
        strength_HW: 0 … 1 of the map's own peak; all zero without evidence.
        opacity: of the peak, 0 … 1.
        threshold: weaker cells leave the image unchanged.
    """
    strength = np.clip(strength_HW, 0.0, 1.0)
    levels_HW = (strength * 255).round().astype(np.uint8)
    alpha_HW1 = np.where(strength >= threshold, opacity * strength, 0.0)[..., None]
    mixed = (1 - alpha_HW1) * grey_HW[..., None] + alpha_HW1 * colour_table()[levels_HW]
    picture: Colours = mixed.round().astype(np.uint8)
    return picture


def map_alone(strength_HW: NDArray[np.floating], *, threshold: float = 0.0) -> Colours:
    """RGB [H, W, 3]: the map's colours without the image; black below the threshold."""
    strength = np.clip(strength_HW, 0.0, 1.0)
    colours: Colours = colour_table()[(strength * 255).round().astype(np.uint8)]
    colours[strength < max(threshold, 1e-9)] = 0
    return colours


def draw_box(
    picture_HW3: Colours,
    box: tuple[float, float, float, float],
    *,
    thickness: int = 2,
    rim: bool = True,
) -> None:
    """Outline x, y, w, h in a colour that no map has.

    The dark rim makes it visible on white; a picture of a few dozen pixels has no space for one.
    """
    x, y, w, h = box
    corners = (round(x), round(y), round(x + w) - 1, round(y + h) - 1)
    if rim:
        _outline(picture_HW3, corners, thickness + 2, -1, _EDGE_COLOUR)
    _outline(picture_HW3, corners, thickness, 0, BOX_COLOUR)


def _outline(
    picture_HW3: Colours,
    corners: tuple[int, int, int, int],
    thickness: int,
    inset: int,
    colour: tuple[int, int, int],
) -> None:
    """Four edges, each if visible; a box of less than a pixel is one pixel wide."""
    height, width = picture_HW3.shape[:2]
    left, top = corners[0] + inset, corners[1] + inset
    right, bottom = max(left, corners[2] - inset), max(top, corners[3] - inset)
    across = slice(max(0, left), max(0, min(width, right + 1)))
    down = slice(max(0, top), max(0, min(height, bottom + 1)))
    for edge in range(thickness):
        for row in {min(top + edge, bottom), max(bottom - edge, top)}:
            if 0 <= row < height:
                picture_HW3[row, across] = colour
        for column in {min(left + edge, right), max(right - edge, left)}:
            if 0 <= column < width:
                picture_HW3[down, column] = colour


def draw_peak(
    picture_HW3: Colours,
    x: float,
    y: float,
    *,
    arm: int = 8,
    half_width: int = 0,
    rim: bool = True,
) -> None:
    """A cross at the map's highest point, its strokes ``2 * half_width + 1`` pixels wide."""
    height, width = picture_HW3.shape[:2]
    column, row = min(round(x), width - 1), min(round(y), height - 1)
    strokes = ((arm + 1, half_width + 1, _EDGE_COLOUR), (arm, half_width, PEAK_COLOUR))
    for reach, thick, colour in strokes if rim else strokes[1:]:
        rows = slice(max(0, row - thick), row + thick + 1)
        columns = slice(max(0, column - thick), column + thick + 1)
        picture_HW3[rows, max(0, column - reach) : column + reach + 1] = colour
        picture_HW3[max(0, row - reach) : row + reach + 1, columns] = colour
