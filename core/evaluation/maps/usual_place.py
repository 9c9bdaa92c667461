"""Where a finding usually is: how many boxes of other patients cover each place of the input.

The control that needs no image. Its point is the one that most of those boxes cover, and its map is
their number at each place. The mean of the boxes would not work: that of left and right ones is the
mediastinum, where no lesion is.

The map is not coarsened to the cells of a network's map. A prediction made without the image is not
bound to them, and a network must not win because its rival was blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.maps.map_geometry import RASTER_PX, Floats, apart, outlined, overlaps

_Counts = NDArray[np.int32]
_Spans = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UsualPlace:
    """Where boxes of one finding are, on the input: those of other patients, or all.

    Attributes:
        peak: x and y of the place that most of them cover.
        regions_D4: boxes around the regions of their frequency map, as around a network's map.
        boxes_K4: the boxes themselves; the map is their sum.
    """

    peak: tuple[float, float]
    regions_D4: Floats
    boxes_K4: Floats

    def energy_inside(self, boxes_K4: Floats) -> float:
        """Share of the frequency map's sum that lies in these boxes."""
        area_K = self.boxes_K4[:, 2:].prod(axis=1)
        share_K = overlaps(self.boxes_K4, apart(boxes_K4))[1].sum(axis=1)
        return float((share_K * area_K).sum() / area_K.sum())


def usual_places(
    patients_P: NDArray[np.int64], boxes: Sequence[Floats], size_px: int
) -> dict[int, UsualPlace]:
    """Patient -> where the finding is in all others; missing if no other patient has it.

    Args:
        patients_P: the patient of each image.
        boxes: P times K × (x, y, w, h), K at least 1, on the input.
        size_px: side of the input.
    """
    spans = [_spans(boxes_K4, size_px) for boxes_K4 in boxes]
    counts_RR = _counts(spans)
    boxes_B4 = np.concatenate(boxes)
    owners_B = np.repeat(patients_P, [len(boxes_K4) for boxes_K4 in boxes])
    places = {}
    for patient in np.unique(patients_P):
        others_B4 = boxes_B4[owners_B != patient]
        if not len(others_B4):
            continue
        own = np.flatnonzero(patients_P == patient)
        for place in own:
            _add(counts_RR, spans[place], -1)
        places[int(patient)] = _place(counts_RR, others_B4, size_px)
        for place in own:
            _add(counts_RR, spans[place], 1)
    return places


def best_place(boxes: Sequence[Floats], size_px: int) -> UsualPlace:
    """The place that most of the boxes cover, including the image's own.

    Not a control, as it uses the answer, but a bound: no single point hits more. If a finding is as
    often left as right, the usual place of *other* patients is always on the other side, and hits
    less than chance.
    """
    counts_RR = _counts([_spans(boxes_K4, size_px) for boxes_K4 in boxes])
    return _place(counts_RR, np.concatenate(boxes), size_px)


def _place(counts_RR: _Counts, boxes_B4: Floats, size_px: int) -> UsualPlace:
    row, column = _middle_of_the_top(counts_RR)
    pixel_px = size_px / RASTER_PX
    peak = (column + 0.5) * pixel_px, (row + 0.5) * pixel_px
    return UsualPlace(peak, outlined(counts_RR / counts_RR.max(), size_px), boxes_B4)


def _counts(spans: Sequence[_Spans]) -> _Counts:
    counts_RR = np.zeros((RASTER_PX, RASTER_PX), dtype=np.int32)
    for spans_K4 in spans:
        _add(counts_RR, spans_K4, 1)
    return counts_RR


def _spans(boxes_K4: Floats, size_px: int) -> _Spans:
    """First and last column and row (exclusive) of the raster whose centres a box covers.

    The raster is as fine on a small input as on a large one. A box between centres covers the pixel
    that contains its own centre.
    """
    low_K2 = boxes_K4[:, :2] * RASTER_PX / size_px
    high_K2 = low_K2 + boxes_K4[:, 2:] * RASTER_PX / size_px
    first_K2, end_K2 = np.ceil(low_K2 - 0.5), np.ceil(high_K2 - 0.5)
    middle_K2 = np.floor((low_K2 + high_K2) / 2).clip(0, RASTER_PX - 1)
    is_none_K2 = end_K2 <= first_K2
    first_K2 = np.where(is_none_K2, middle_K2, first_K2)
    end_K2 = np.where(is_none_K2, middle_K2 + 1, end_K2)
    return np.concatenate([first_K2, end_K2], axis=1).astype(np.int64)


def _add(counts_RR: _Counts, spans_K4: _Spans, by: int) -> None:
    for left, top, right, bottom in spans_K4:
        counts_RR[top:bottom, left:right] += by


def _middle_of_the_top(counts_RR: _Counts) -> tuple[int, int]:
    """Row and column of the highest pixel.

    If there are several, the largest connected group counts (the first in reading order of equally
    large ones), and of it the pixel nearest to its centroid.
    """
    from scipy import ndimage  # comes with scikit-learn; slow at the door

    rows_T, columns_T = np.nonzero(counts_RR == counts_RR.max())
    top, left = rows_T.min(), columns_T.min()
    is_top = np.zeros((rows_T.max() - top + 1, columns_T.max() - left + 1), dtype=bool)
    is_top[rows_T - top, columns_T - left] = True
    labelled, _ = ndimage.label(is_top)
    group_T = labelled[rows_T - top, columns_T - left]
    largest_T = group_T == np.bincount(group_T).argmax()
    rows_G, columns_G = rows_T[largest_T], columns_T[largest_T]
    away_G = (rows_G - rows_G.mean()) ** 2 + (columns_G - columns_G.mean()) ** 2
    nearest = int(away_G.argmin())
    return int(rows_G[nearest]), int(columns_G[nearest])
