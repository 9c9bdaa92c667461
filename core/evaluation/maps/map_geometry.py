"""Maps, points and boxes on the network's square input.

A map of M × M cells covers an input of S × S pixels; between the cells' centres it is interpolated
bilinearly, and beyond the outermost centres it is constant. So its peak is at a cell's centre, and
its sum inside a box is a bilinear form of its cells: only the outlines of its regions need drawing
at full size. Boxes are K × (x, y, w, h), x and y their upper left corner, in pixels of the input.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from core.data.images.square import square_region

Floats = NDArray[np.float64]

WANG_THRESHOLDS = (60 / 255, 180 / 255)
"""Wang et al. 2017 scale a map to 0 … 255 and cut it at 60 and at 180, separately."""

RASTER_PX = 256
"""Regions are outlined on a raster at most this fine: finer ones cost more and move a box by no
more than half a raster pixel."""


def boxes_on_input(
    boxes_K4: Floats, table_size_px: int, width_px: int, height_px: int, resize: str, size_px: int
) -> Floats:
    """Boxes of a table, on the network's input and clipped to it.

    Args:
        boxes_K4: in pixels of an image of ``table_size_px``, whatever its real size.
        width_px, height_px: of the image file.
        resize: ``squash``, ``crop`` or ``crop-skimage``, how the image was made square.
        size_px: side of the input.

    Returns:
        The boxes, without those outside a cropped square.
    """
    left, top, right, bottom = square_region(width_px, height_px, resize)
    to_image = np.array([width_px, height_px]) / table_size_px
    to_input = size_px / np.array([right - left, bottom - top])
    corners_K2 = (boxes_K4[:, :2] * to_image - (left, top)) * to_input
    far_K2 = corners_K2 + boxes_K4[:, 2:] * to_image * to_input
    corners_K2, far_K2 = corners_K2.clip(0, size_px), far_K2.clip(0, size_px)
    inside_K4 = np.concatenate([corners_K2, far_K2 - corners_K2], axis=1)
    return inside_K4[(inside_K4[:, 2:] > 0).all(axis=1)]


def peak_of(map_MM: NDArray[np.float32], size_px: int) -> tuple[float, float] | None:
    """x and y of the highest point on the input; None if the map has no evidence."""
    if not map_MM.max() > 0:
        return None
    row, column = np.unravel_index(int(map_MM.argmax()), map_MM.shape)
    cell_px = size_px / len(map_MM)
    return (float(column) + 0.5) * cell_px, (float(row) + 0.5) * cell_px


def is_inside(x: float, y: float, boxes_K4: Floats, margin_px: float = 0.0) -> bool:
    """Whether the point is in one of the boxes, or within the margin of one."""
    low_K2 = boxes_K4[:, :2] - margin_px
    high_K2 = boxes_K4[:, :2] + boxes_K4[:, 2:] + margin_px
    point = np.array([x, y])
    return bool(((low_K2 <= point) & (point <= high_K2)).all(axis=1).any())


def share_of_area(boxes_K4: Floats, size_px: int, margin_px: float = 0.0) -> float:
    """Share of the input that the boxes cover together, each widened by a margin."""
    low_K2 = (boxes_K4[:, :2] - margin_px).clip(0, size_px)
    high_K2 = (boxes_K4[:, :2] + boxes_K4[:, 2:] + margin_px).clip(0, size_px)
    widened_K4 = np.concatenate([low_K2, high_K2 - low_K2], axis=1)
    return float(apart(widened_K4)[:, 2:].prod(axis=1).sum() / size_px**2)


def apart(boxes_K4: Floats) -> Floats:
    """Boxes that cover the same area without overlapping."""
    if len(boxes_K4) <= 1:
        return boxes_K4
    low_K2, high_K2 = boxes_K4[:, :2], boxes_K4[:, :2] + boxes_K4[:, 2:]
    # The grid of all edges: each of its fields is either inside a box or outside.
    x, y = (np.unique(np.concatenate([low_K2[:, axis], high_K2[:, axis]])) for axis in (0, 1))
    middle_x, middle_y = (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2
    in_x_KX = (low_K2[:, :1] < middle_x) & (middle_x < high_K2[:, :1])
    in_y_KY = (low_K2[:, 1:] < middle_y) & (middle_y < high_K2[:, 1:])
    row_C, column_C = (in_y_KY[:, :, None] & in_x_KX[:, None, :]).any(axis=0).nonzero()
    width, height = np.diff(x), np.diff(y)
    return np.column_stack([x[column_C], y[row_C], width[column_C], height[row_C]])


def energy_inside(maps_NMM: NDArray[np.float32], boxes_K4: Floats, size_px: int) -> Floats:
    """Share of each map's sum that lies in the boxes, NaN if the map is zero; N values."""
    num_cells = maps_NMM.shape[1]
    maps = maps_NMM.astype(np.float64)
    whole = _cell_weights(num_cells, size_px, 0.0, float(size_px))
    total_N = np.einsum("i,nij,j->n", whole, maps, whole)
    inside_N = np.zeros(len(maps))
    for x, y, w, h in apart(boxes_K4):
        across = _cell_weights(num_cells, size_px, x, x + w)
        down = _cell_weights(num_cells, size_px, y, y + h)
        inside_N += np.einsum("i,nij,j->n", down, maps, across)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_N > 0, inside_N / total_N, np.nan)


def _cell_weights(num_cells: int, size_px: int, low: float, high: float) -> Floats:
    """Share of each cell's value between two positions on the interpolated axis."""
    edges = np.arange(size_px + 1, dtype=np.float64)
    covered_S = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, 1)
    weights: Floats = covered_S @ interpolation(num_cells, size_px)
    return weights


@cache
def interpolation(num_cells: int, size_px: int) -> Floats:
    """From cells to pixels along one axis, size_px × num_cells; rows sum to 1.

    The same as ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.
    """
    at_S = ((np.arange(size_px) + 0.5) * num_cells / size_px - 0.5).clip(0, num_cells - 1)
    left_S = np.minimum(np.floor(at_S).astype(np.int64), max(0, num_cells - 2))
    share_S = at_S - left_S
    weights_SM = np.zeros((size_px, num_cells))
    rows_S = np.arange(size_px)
    weights_SM[rows_S, left_S] = 1 - share_S
    weights_SM[rows_S, np.minimum(left_S + 1, num_cells - 1)] += share_S
    weights_SM.setflags(write=False)
    return weights_SM


def upsampled(map_MM: NDArray[np.float32], size_px: int) -> Floats:
    """The map at every pixel of the input."""
    weights_SM = interpolation(len(map_MM), size_px)
    drawn_SS: Floats = weights_SM @ map_MM.astype(np.float64) @ weights_SM.T
    return drawn_SS


def regions_of(
    map_MM: NDArray[np.float32],
    size_px: int,
    thresholds: tuple[float, ...] = WANG_THRESHOLDS,
) -> Floats:
    """Boxes around the map's isolated regions above each threshold (shares of its peak).

    As in Wang et al. 2017 (CVPR, arXiv 1705.02315, section 4.3): the map is scaled to its own peak,
    cut at each threshold, and each connected region gets a box. A map without evidence has none.
    """
    peak = float(map_MM.max())
    if not peak > 0:
        return np.zeros((0, 4))
    return outlined(upsampled(map_MM, min(size_px, RASTER_PX)) / peak, size_px, thresholds)


def outlined(
    drawn_RR: Floats, size_px: int, thresholds: tuple[float, ...] = WANG_THRESHOLDS
) -> Floats:
    """The same for a map drawn on a raster over the input, with peak 1."""
    from scipy import ndimage  # comes with scikit-learn; slow at the door

    found = []
    for threshold in thresholds:
        labelled_RR, _ = ndimage.label(drawn_RR >= threshold)
        for down, across in ndimage.find_objects(labelled_RR):
            found.append(
                (across.start, down.start, across.stop - across.start, down.stop - down.start)
            )
    return np.array(found, dtype=np.float64).reshape(-1, 4) * (size_px / len(drawn_RR))


def overlaps(found_D4: Floats, boxes_K4: Floats) -> tuple[Floats, Floats]:
    """IoU and IoBB of each found box with each given one, both D × K.

    IoBB is the intersection over the *found* box's area, as in Wang et al. 2017: a tiny box inside
    a large lesion has an IoBB of 1.
    """
    low = np.maximum(found_D4[:, None, :2], boxes_K4[None, :, :2])
    high = np.minimum(
        found_D4[:, None, :2] + found_D4[:, None, 2:], boxes_K4[None, :, :2] + boxes_K4[None, :, 2:]
    )
    shared_DK = (high - low).clip(0).prod(axis=2)
    found_area_D1 = found_D4[:, 2:].prod(axis=1)[:, None]
    box_area_1K = boxes_K4[:, 2:].prod(axis=1)[None, :]
    return shared_DK / (found_area_D1 + box_area_1K - shared_DK), shared_DK / found_area_D1
