"""Detects box coordinates that aren't pixels of a 1024-pixel image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import DataError

_ENOUGH_BOXES = 8
_CORNER = 0.5
"""Share of the image's width and height: lungs alone reach further than that."""

_MANY_CUT = 0.1

Axis = npt.NDArray[np.float64]


def refuse_shares(path: Path, x_B: Axis, y_B: Axis, w_B: Axis, h_B: Axis, size_px: int) -> None:
    """Raises DataError if all boxes lie within one pixel: they are shares of the image."""
    axes_4B = np.stack([x_B, y_B, w_B, h_B])
    if (axes_4B < 0).any() or (axes_4B > 1).any() or (axes_4B[2:] <= 0).any():
        return
    raise DataError(
        f"the coordinates of all {len(x_B):,} boxes lie within 0 … 1: they are shares of the "
        f"image, but a box table must be in pixels of a {size_px}-pixel image",
        where=path,
        why="Read as pixels, each box would be smaller than one",
        remedy=f"Multiply them by {size_px}; if x and y are a box's centre, as in YOLO, "
        "subtract half of its width and height first.",
    )


def unit_warnings(
    x_B: Axis, y_B: Axis, w_B: Axis, h_B: Axis, size_px: int, num_cut: int
) -> Iterator[str]:
    """Doubts about the units of a box table, in sentences.

    Args:
        x_B, y_B, w_B, h_B: as written in the table.
        size_px: the width and height of the image that they should be for.
        num_cut: number of boxes that reach past its edge.
    """
    num_boxes = len(x_B)
    if num_boxes < _ENOUGH_BOXES:
        return
    reach = float(max((x_B + w_B).max(), (y_B + h_B).max()))
    if reach <= _CORNER * size_px:
        yield (
            f"All {num_boxes:,} boxes lie in the upper left corner, within {reach:.0f} of "
            f"{size_px} pixels: they are probably in pixels of smaller images. Multiply by "
            f"{size_px} and divide by those images' width."
        )
    if num_cut >= _MANY_CUT * num_boxes:
        yield (
            f"{num_cut:,} of {num_boxes:,} boxes reach past the image's edge: the last two columns "
            "are probably the lower right corner, not width and height (subtract x and y), or "
            f"the pixels are those of images larger than {size_px}."
        )
