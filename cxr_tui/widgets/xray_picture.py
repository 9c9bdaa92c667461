"""An image with its map for a number of cells: which part, at what size, with what drawn on it.

Needs neither Textual nor torch. A picture is made for a terminal's cells, two pixels per cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.evaluation.maps.overlay import Colours, Grey, blended, draw_box, draw_peak, map_alone
from cxr_tui.widgets.xray_256 import blended_in_256, grey_in_256, map_alone_in_256

View = Literal["map", "image", "map alone"]
VIEWS: tuple[View, ...] = ("map", "image", "map alone")
Box = tuple[float, float, float, float]

_CLOSEST = 0.08
"""The smallest share of the image's side that can be zoomed to."""

_ROOM_FOR_RIMS_PX = 160
"""A box's dark rim would hide a small picture's lesion."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown, on an image of W × H pixels.

    Attributes:
        strength_HW: the map, 0 … 1 of its own peak, at the image's pixels; None before it is made.
        boxes: x, y, w, h in the image's pixels.
        peak: x, y in the image's pixels; None without evidence.
    """

    grey_HW: Grey
    strength_HW: NDArray[np.floating] | None = None
    boxes: Sequence[Box] = ()
    peak: tuple[float, float] | None = None


@dataclass(frozen=True)
class Look:
    """How it is shown; ``region`` is left, top, width, height as shares of the image."""

    view: View = "map"
    with_boxes: bool = True
    opacity: float = 0.6
    threshold: float = 0.0
    region: Box = (0.0, 0.0, 1.0, 1.0)

    @property
    def is_zoomed(self) -> bool:
        """Whether part of the image is out of sight."""
        return self.region[2] < 1 or self.region[3] < 1

    def moved(self, across: int, down: int) -> Look:
        """Move by a quarter of the visible part, at most to the image's edge."""
        left, top, width, height = self.region
        left = min(max(0.0, left + across * width / 4), 1 - width)
        top = min(max(0.0, top + down * height / 4), 1 - height)
        return replace(self, region=(left, top, width, height))


def zoomed_to(look: Look, shown: Shown, box: Box) -> Look:
    """A part of the image around a box in its pixels, with as much again on each side.

    A large box gets a smaller margin, so that zooming still enlarges it.
    """
    height, width = shown.grey_HW.shape
    x, y, w, h = box
    share = max(w / width, h / height)
    side = min(1.0, max(_CLOSEST, min(3 * share, max(0.5, 1.3 * share))))
    left = min(max(0.0, (x + w / 2) / width - side / 2), 1 - side)
    top = min(max(0.0, (y + h / 2) / height - side / 2), 1 - side)
    return replace(look, region=(left, top, side, side))


def fitted(shown: Shown, look: Look, columns: int, rows: int) -> tuple[int, int]:
    """Width and height in pixels that keep the region's proportions in this many cells."""
    height, width = shown.grey_HW.shape
    region_width, region_height = width * look.region[2], height * look.region[3]
    scale = min(columns / region_width, 2 * rows / region_height)
    # Even, since a cell holds two pixels, one above the other.
    return max(1, round(region_width * scale)), max(2, 2 * round(region_height * scale / 2))


def picture(shown: Shown, look: Look, width: int, height: int, *, in_256: bool = False) -> Colours:
    """RGB [height, width, 3] of the region, with everything drawn on it."""
    image_height, image_width = shown.grey_HW.shape
    left, top, across, down = look.region
    part = (
        *(left * image_width, top * image_height),
        *((left + across) * image_width, (top + down) * image_height),
    )
    grey: Grey = _resized(Image.fromarray(shown.grey_HW), (width, height), part)
    if shown.strength_HW is None or look.view == "image":
        drawn = grey_in_256(grey) if in_256 else np.repeat(grey[..., None], 3, axis=2)
    else:
        strength: NDArray[np.float32] = _resized(
            Image.fromarray(shown.strength_HW.astype(np.float32)), (width, height), part
        )
        if look.view == "map alone":
            draw_map = map_alone_in_256 if in_256 else map_alone
            drawn = draw_map(strength, threshold=look.threshold)
        else:
            blend = blended_in_256 if in_256 else blended
            drawn = blend(grey, strength, opacity=look.opacity, threshold=look.threshold)
    scale_x, scale_y = width / (part[2] - part[0]), height / (part[3] - part[1])
    if look.with_boxes:
        for x, y, w, h in shown.boxes:
            box = ((x - part[0]) * scale_x, (y - part[1]) * scale_y, w * scale_x, h * scale_y)
            if _is_in_sight(box, width, height):
                draw_box(drawn, box, thickness=1, rim=min(width, height) >= _ROOM_FOR_RIMS_PX)
    place = peak_place(shown, look, width, height)
    if place is not None:
        # White is near to the ramp's yellow.
        draw_peak(drawn, *place, arm=1 + min(width, height) // 100, rim=in_256)
    return drawn


def peak_place(shown: Shown, look: Look, width: int, height: int) -> tuple[int, int] | None:
    """Column and row of the peak's pixel; None if it is out of sight or hidden."""
    if look.view == "image" or shown.peak is None:
        return None
    image_height, image_width = shown.grey_HW.shape
    left, top, across, down = look.region
    x = int((shown.peak[0] / image_width - left) / across * width)
    y = int((shown.peak[1] / image_height - top) / down * height)
    return (x, y) if 0 <= x < width and 0 <= y < height else None


def _is_in_sight(box: Box, width: int, height: int) -> bool:
    x, y, w, h = box
    return x < width and y < height and x + w > 0 and y + h > 0


def _resized(
    image: Image.Image, size: tuple[int, int], part: tuple[float, float, float, float]
) -> NDArray[Any]:
    shrinks = part[2] - part[0] > size[0]
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.array(image.resize(size, how, box=part))


def stronger(look: Look, by: float) -> Look:
    """The map more opaque, or less."""
    return replace(look, opacity=round(min(1.0, max(0.1, look.opacity + by)), 2))


def stricter(look: Look, by: float) -> Look:
    """Show less of the map, or more."""
    return replace(look, threshold=round(min(0.95, max(0.0, look.threshold + by)), 2))
