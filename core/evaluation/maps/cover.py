"""Cover the lesion: does the logit fall if the box is painted over, and more than for an equal box
elsewhere in the lungs?

This tests what the network relies on without its coarse map, at the cost of two more passes per
image. The idea, explanation by deletion, is from Fong and Vedaldi 2017 (arXiv 1704.03296).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.maps.map_geometry import Floats

Grey = NDArray[np.uint8]

# The lungs on a frontal image, as shares of its sides: left, top, right, bottom of each.
# Deliberately rough: a box elsewhere only needs its centre there, clear of lesions.
_LUNGS = np.array([[0.10, 0.14, 0.46, 0.84], [0.54, 0.14, 0.90, 0.84]])
_TRIES = 256
_BORDER_SHARE = 0.15
"""Depth of the border averaged for the fill, as a share of the box's shorter side."""


def covered(pixels_SS: Grey, boxes_K4: Floats) -> Grey:
    """The image with each box filled by a smooth surface between its surroundings.

    The four borders, averaged over a few pixels' depth, are blended across the box (a Coons patch),
    so that no new edge appears; the content of the box is gone.
    """
    filled_SS = pixels_SS.astype(np.float64)
    for x, y, w, h in boxes_K4:
        left, top = int(np.floor(x)), int(np.floor(y))
        right, bottom = (min(len(pixels_SS), int(np.ceil(end))) for end in (x + w, y + h))
        _fill(filled_SS, left, top, max(right, left + 1), max(bottom, top + 1))
    return np.rint(filled_SS).clip(0, 255).astype(np.uint8)


def _fill(image_SS: Floats, left: int, top: int, right: int, bottom: int) -> None:
    size = len(image_SS)
    depth = max(1, round(_BORDER_SHARE * min(right - left, bottom - top)))
    inside = slice(top, bottom), slice(left, right)
    above = image_SS[max(0, top - depth) : top, left:right]
    below = image_SS[bottom : min(size, bottom + depth), left:right]
    before = image_SS[top:bottom, max(0, left - depth) : left]
    behind = image_SS[top:bottom, right : min(size, right + depth)]
    up_W, down_W = _either(above.T, below.T)
    left_H, right_H = _either(before, behind)
    if up_W is None or down_W is None:
        up_W = down_W = _joined(left_H, right_H, right - left)
    if left_H is None or right_H is None:
        left_H = right_H = _joined(up_W, down_W, bottom - top)
    if up_W is None or down_W is None or left_H is None or right_H is None:
        image_SS[inside] = image_SS.mean()  # the box is the whole image
        return
    v_H1 = ((np.arange(bottom - top) + 0.5) / (bottom - top))[:, None]
    u_1W = ((np.arange(right - left) + 0.5) / (right - left))[None, :]
    corners = (
        ((up_W[0] + left_H[0]) / 2, (up_W[-1] + right_H[0]) / 2),
        ((down_W[0] + left_H[-1]) / 2, (down_W[-1] + right_H[-1]) / 2),
    )
    between_rows = (1 - v_H1) * up_W + v_H1 * down_W
    between_columns = (1 - u_1W) * left_H[:, None] + u_1W * right_H[:, None]
    between_corners = (1 - v_H1) * ((1 - u_1W) * corners[0][0] + u_1W * corners[0][1]) + v_H1 * (
        (1 - u_1W) * corners[1][0] + u_1W * corners[1][1]
    )
    image_SS[inside] = between_rows + between_columns - between_corners


def _either(one: Floats, other: Floats) -> tuple[Floats | None, Floats | None]:
    """Means along the borders; at the image's edge the opposite border is used for both."""
    means = [border.mean(axis=1) if border.size else None for border in (one, other)]
    first, second = means
    return (second if first is None else first), (first if second is None else second)


def _joined(start: Floats | None, end: Floats | None, length: int) -> Floats | None:
    """A line between two borders' means, if the box spans the image across them."""
    if start is None or end is None:
        return None
    return np.linspace(float(start.mean()), float(end.mean()), length)


def elsewhere(boxes_K4: Floats, lesions_L4: Floats, size_px: int, *, seed: int) -> Floats | None:
    """As many boxes of the same sizes, centred in the lungs and clear of every lesion.

    The mirror image in the other lung if it is clear, otherwise a random place. None if there is no
    such place, as next to a heart that fills the chest.
    """
    rng = np.random.default_rng(seed)
    placed: list[Floats] = []
    for box in boxes_K4:
        taken = np.concatenate([lesions_L4, boxes_K4, *(one[None] for one in placed)])
        mirrored = np.array([size_px - box[0] - box[2], box[1]])
        corners_T2 = np.concatenate([mirrored[None], _corners(box[2:], size_px, rng)])
        clear_T = _is_clear(corners_T2, box[2:], taken)
        clear_T[0] &= _is_in_lungs(mirrored + box[2:] / 2, size_px)
        if not clear_T.any():
            return None
        placed.append(np.concatenate([corners_T2[int(clear_T.argmax())], box[2:]]))
    return np.array(placed)


def _corners(sides: Floats, size_px: int, rng: np.random.Generator) -> Floats:
    """Corners of boxes whose centres are drawn uniformly from the lungs, moved into the image."""
    lungs_T4 = _LUNGS[rng.integers(len(_LUNGS), size=_TRIES)]
    spread_T2 = rng.random((_TRIES, 2)) * (lungs_T4[:, 2:] - lungs_T4[:, :2])
    centres_T2 = (lungs_T4[:, :2] + spread_T2) * size_px
    corners_T2: Floats = (centres_T2 - sides / 2).clip(0, np.maximum(size_px - sides, 0))
    return corners_T2


def _is_clear(corners_T2: Floats, sides: Floats, taken_L4: Floats) -> NDArray[np.bool_]:
    low = np.maximum(corners_T2[:, None], taken_L4[None, :, :2])
    high = np.minimum(corners_T2[:, None] + sides, taken_L4[None, :, :2] + taken_L4[None, :, 2:])
    meets_TL: NDArray[np.bool_] = np.all(high > low, axis=2)
    meets_T: NDArray[np.bool_] = np.any(meets_TL, axis=1)
    return ~meets_T


def _is_in_lungs(centre: Floats, size_px: int) -> bool:
    at = centre / size_px
    return bool(((_LUNGS[:, :2] <= at) & (at <= _LUNGS[:, 2:])).all(axis=1).any())
