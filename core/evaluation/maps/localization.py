"""Maps against boxes: does the network look where the lesion is, and more than by chance?

Each measure is compared with three controls: a uniformly random point (for regions, maps of random
cells), the place that most boxes of other patients cover, and other images' maps of the same
finding. A map that does not beat that place has shown nothing: it may only know where the finding
usually is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.maps.localization_words import (
    BEST_PLACE,
    CONTROLS,
    OTHER_IMAGE,
    RANDOM,
    USUAL_PLACE,
)
from core.evaluation.maps.map_geometry import (
    Floats,
    energy_inside,
    overlaps,
    peak_of,
    regions_of,
    share_of_area,
)
from core.evaluation.maps.usual_place import UsualPlace, best_place, usual_places

SUCCESS_THRESHOLDS = (0.1, 0.25, 0.3, 0.5)
"""IoU or IoBB above which a lesion counts as found."""

POINTING, NEAR, ENERGY = "pointing", "pointing_near", "energy"
MEASURES = (
    POINTING,
    NEAR,
    ENERGY,
    *(f"{kind}_{t}" for kind in ("iou", "iobb") for t in SUCCESS_THRESHOLDS),
    *(f"false_{kind}_{t}" for kind in ("iou", "iobb") for t in SUCCESS_THRESHOLDS),
)
"""Measures of a map against the boxes of an image.

``pointing``: whether the peak is in a box (Zhang et al. 2018, IJCV 126:1084); ``pointing_near``:
within half a map cell of one, since a peak can't be placed more precisely; ``energy``: share of the
map's sum in the boxes; ``iou_T``, ``iobb_T``: whether a region's box overlaps a given one by more
than T; ``false_…``: number of regions whose boxes overlap none by more than T.
"""

_RANDOM_MAPS = 64


@dataclass(frozen=True, eq=False)
class BoxedMap:
    """One finding in one image with boxes of it, and the network's map.

    Attributes:
        map_MM: evidence per cell, zero if there is none.
        boxes_K4: x, y, w, h on the network's input.
        probability, logit: of the finding, from the same pass.
    """

    image: str
    patient: int
    finding: str
    map_MM: NDArray[np.float32]
    boxes_K4: Floats
    probability: float
    logit: float


@dataclass(frozen=True, eq=False)
class _Shown:
    """N maps in a form to compare with boxes: peaks, regions, and the maps themselves."""

    maps_NMM: NDArray[np.float32]
    peaks_N2: Floats
    regions_D4: Floats
    owner_D: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.maps_NMM)


def measured(boxed: Sequence[BoxedMap], size_px: int, *, seed: int = 0) -> dict[str, Floats]:
    """One finding's maps and their controls against the boxes of their images.

    Args:
        boxed: P maps of one finding.
        size_px: side of the network's input.
        seed: of the random maps.

    Returns:
        ``map``, each of ``CONTROLS`` and ``BEST_PLACE`` -> P × ``MEASURES``; NaN where a control
        can't be computed (no other patient has a box of the finding).
    """
    patients_P = np.array([one.patient for one in boxed])
    boxes = [one.boxes_K4 for one in boxed]
    places, best = usual_places(patients_P, boxes, size_px), best_place(boxes, size_px)
    shown = _shown(np.stack([one.map_MM for one in boxed]), size_px)
    chance = _shown(_random_maps(len(boxed[0].map_MM), seed), size_px)
    rows: dict[str, list[Floats]] = {name: [] for name in ("map", *CONTROLS, BEST_PLACE)}
    for place, one in enumerate(boxed):
        margin_px = size_px / len(one.map_MM) / 2
        everybody_PV = _against(shown, one.boxes_K4, size_px, margin_px)
        others_P = patients_P != one.patient
        rows["map"].append(everybody_PV[place])
        rows[OTHER_IMAGE].append(_mean(everybody_PV[others_P]))
        rows[RANDOM].append(_at_random(chance, one.boxes_K4, size_px, margin_px))
        usual = places.get(one.patient)
        rows[USUAL_PLACE].append(_at_usual_place(usual, one.boxes_K4, margin_px))
        rows[BEST_PLACE].append(_at_usual_place(best, one.boxes_K4, margin_px))
    return {name: np.stack(values) for name, values in rows.items()}


def _shown(maps_NMM: NDArray[np.float32], size_px: int) -> _Shown:
    peaks = [peak_of(map_MM, size_px) or (np.nan, np.nan) for map_MM in maps_NMM]
    regions = [regions_of(map_MM, size_px) for map_MM in maps_NMM]
    return _Shown(
        maps_NMM,
        np.array(peaks, dtype=np.float64),
        np.concatenate(regions),
        np.repeat(np.arange(len(maps_NMM)), [len(found) for found in regions]),
    )


def _against(shown: _Shown, boxes_K4: Floats, size_px: int, margin_px: float) -> Floats:
    """Each map against one image's boxes, N × MEASURES."""
    energy_N = np.nan_to_num(energy_inside(shown.maps_NMM, boxes_K4, size_px))
    return _values(shown.peaks_N2, energy_N, shown.regions_D4, shown.owner_D, boxes_K4, margin_px)


def _values(
    peaks_N2: Floats,
    energy_N: Floats,
    regions_D4: Floats,
    owner_D: NDArray[np.int64],
    boxes_K4: Floats,
    margin_px: float,
) -> Floats:
    num = len(peaks_N2)
    columns = [_points(peaks_N2, boxes_K4, 0.0), _points(peaks_N2, boxes_K4, margin_px), energy_N]
    false: list[Floats] = []
    for overlap_DK in overlaps(regions_D4, boxes_K4):
        best_D = overlap_DK.max(axis=1)
        best_N = np.zeros(num)
        np.maximum.at(best_N, owner_D, best_D)
        columns += [(best_N > threshold).astype(np.float64) for threshold in SUCCESS_THRESHOLDS]
        false += [
            np.bincount(owner_D[best_D <= threshold], minlength=num).astype(np.float64)
            for threshold in SUCCESS_THRESHOLDS
        ]
    return np.column_stack([*columns, *false])


def _points(peaks_N2: Floats, boxes_K4: Floats, margin_px: float) -> Floats:
    """1 if the peak is in a box widened by the margin; a map without a peak points nowhere."""
    low_K2 = boxes_K4[:, :2] - margin_px
    high_K2 = boxes_K4[:, :2] + boxes_K4[:, 2:] + margin_px
    inside_NK2 = (low_K2 <= peaks_N2[:, None]) & (peaks_N2[:, None] <= high_K2)
    inside_NK: NDArray[np.bool_] = np.all(inside_NK2, axis=2)
    inside_N: NDArray[np.bool_] = np.any(inside_NK, axis=1)
    return inside_N.astype(np.float64)


def _random_maps(num_cells: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.random((_RANDOM_MAPS, num_cells, num_cells), dtype=np.float32)


def _at_random(chance: _Shown, boxes_K4: Floats, size_px: int, margin_px: float) -> Floats:
    """A random point and a uniform map, exactly; regions as the mean of random maps."""
    mean_V = _mean(_against(chance, boxes_K4, size_px, margin_px))
    mean_V[MEASURES.index(POINTING)] = share_of_area(boxes_K4, size_px)
    mean_V[MEASURES.index(NEAR)] = share_of_area(boxes_K4, size_px, margin_px)
    mean_V[MEASURES.index(ENERGY)] = mean_V[MEASURES.index(POINTING)]
    return mean_V


def _at_usual_place(usual: UsualPlace | None, boxes_K4: Floats, margin_px: float) -> Floats:
    """Its point, its map's share in the boxes, and its map's regions, as for any other map."""
    if usual is None:
        return np.full(len(MEASURES), np.nan)
    energy_1 = np.array([usual.energy_inside(boxes_K4)])
    owner_D = np.zeros(len(usual.regions_D4), dtype=np.int64)
    peak_12 = np.array([usual.peak])
    values: Floats = _values(peak_12, energy_1, usual.regions_D4, owner_D, boxes_K4, margin_px)[0]
    return values


def _mean(values_NV: Floats) -> Floats:
    if not len(values_NV):
        return np.full(len(MEASURES), np.nan)
    mean_V: Floats = values_NV.mean(axis=0)
    return mean_V
