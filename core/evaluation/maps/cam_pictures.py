"""Maps as pixels for files: overlays with a colour scale and caption, and tiles for a sheet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.data.images.square import square_region
from core.errors import DataError
from core.evaluation.maps.found_maps import FoundMap
from core.evaluation.maps.map_geometry import interpolation
from core.evaluation.maps.overlay import Colours, Grey, blended, draw_box, draw_peak
from core.evaluation.maps.picture_layout import (
    TILE_PX,
    beside,
    framed,
    resized,
    scale_bar,
    tile,
    words_strip,
)

_OVERLAY_PX, _WIDEST_PX = 1024, 4096
"""An overlay's image is at least this high, unless that makes it wider than the second."""

_LETTER_SHARE = 1 / 44


def strength_on_image(found: FoundMap, scale: float = 1.0) -> NDArray[np.float64]:
    """The map at every pixel of the image file, 0 … 1 of its own peak; 0 outside the square.

    All zero if there is no evidence: nothing is stretched to full colour.

    Args:
        scale: size of the drawn image relative to the file; sides are rounded.
    """
    width, height = _scaled(found, scale)
    strength_HW = np.zeros((height, width))
    if not found.has_evidence:
        return strength_HW
    square = square_region(found.width_px, found.height_px, found.resize)
    left, top, right, bottom = (round(scale * edge) for edge in square)
    cells = len(found.map_MM)
    down, across = interpolation(cells, bottom - top), interpolation(cells, right - left)
    drawn = down @ (found.map_MM.astype(np.float64) / float(found.map_MM.max())) @ across.T
    strength_HW[top:bottom, left:right] = drawn
    return strength_HW


def overlay(
    found: FoundMap, grey_HW: Grey, *, opacity: float = 0.6, threshold: float = 0.0
) -> Colours:
    """The image, next to it the image with its map, boxes, peak and scale; a caption below.

    A small image is enlarged, so that lines and words fit.

    Raises:
        DataError: the pixels are not of the image that the map was made of.
    """
    height, width = grey_HW.shape
    if (width, height) != (found.width_px, found.height_px):
        raise DataError(
            f"has {width}×{height} pixels now; it had {found.width_px}×{found.height_px}",
            where=found.candidate.image,
            why="Its map is of the old image.",
            remedy="Reopen the session.",
        )
    scale = max(1.0, min(_OVERLAY_PX / height, _WIDEST_PX / width))
    grey = resized(grey_HW, _scaled(found, scale))
    mapped = _mapped(found, grey, scale, opacity=opacity, threshold=threshold)
    letter_px = max(12, round(max(len(grey), grey.shape[1] / 2) * _LETTER_SHARE))
    parts = [np.repeat(grey[..., None], 3, axis=2), mapped]
    if found.has_evidence:
        parts.append(scale_bar(len(grey), letter_px, opacity=opacity, threshold=threshold))
    row = beside(parts, letter_px)
    return framed([row, words_strip(caption(found), row.shape[1], letter_px)], letter_px)


def tile_of(found: FoundMap, grey_HW: Grey) -> Colours:
    """A small picture with a short caption, for the contact sheet."""
    scale = TILE_PX / max(grey_HW.shape)
    mapped = _mapped(found, resized(grey_HW, _scaled(found, scale)), scale)
    candidate = found.candidate
    lines = [
        candidate.image,
        f"{candidate.finding} · {found.probability:.2f} · {_label_words(candidate.label)}",
        outcome_words(found),
    ]
    return tile(mapped, lines)


def _mapped(
    found: FoundMap, grey_HW: Grey, scale: float, *, opacity: float = 0.6, threshold: float = 0.0
) -> Colours:
    """The map over the image, both enlarged by the same factor."""
    mapped = blended(grey_HW, strength_on_image(found, scale), opacity=opacity, threshold=threshold)
    thickness = max(2, round(min(grey_HW.shape) / 256))
    for box in found.boxes_on_image():
        x, y, w, h = (scale * value for value in box)
        draw_box(mapped, (x, y, w, h), thickness=thickness)
    if found.peak is not None:
        x, y = found.on_image(*found.peak)
        draw_peak(mapped, scale * x, scale * y, arm=4 * thickness, half_width=thickness // 2)
    return mapped


def _scaled(found: FoundMap, scale: float) -> tuple[int, int]:
    return max(1, round(scale * found.width_px)), max(1, round(scale * found.height_px))


def caption(found: FoundMap) -> list[str]:
    """A caption for the picture."""
    candidate = found.candidate
    first = (
        f"{candidate.image} · {candidate.finding} · probability {found.probability:.3f} · "
        f"{_label_words(candidate.label)}"
    )
    if candidate.seen:
        first += " · seen in training"
    return [first, f"{found.method} · {outcome_words(found)}"]


def _label_words(label: float) -> str:
    return f"label { {1.0: 'present', 0.0: 'absent'}.get(label, 'unknown') }"


def outcome_words(found: FoundMap) -> str:
    """Hit or miss, with the overlap."""
    if not found.has_evidence:
        return "no evidence for the finding anywhere"
    if found.hit is None or found.best_overlaps is None:
        return "no box to compare with"
    near = " (within half a cell)" if found.near and not found.hit else ""
    iou, iobb = found.best_overlaps
    hit = "hit" if found.hit else "miss"
    return (
        f"{hit}{near} · IoU {iou:.2f} · IoBB {iobb:.2f} · {100 * (found.energy or 0):.0f} % inside"
    )
