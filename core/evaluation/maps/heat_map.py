"""One map with everything that belongs to it, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluation.maps.candidates import candidate_of, known_finding
from core.evaluation.maps.found_maps import maps_of
from core.evaluation.maps.map_geometry import upsampled
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.methods import Method


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where the network sees a finding in one image.

    Attributes:
        image_SS: the network's input, uint8, S pixels a side.
        map_MM: evidence per cell of the network's last map, float32, at least 0, on its own scale;
            all zero if nothing supports the finding.
        heat_SS: the same, bilinear over the input, 0 … 1; all zero without evidence.
        probability: of the finding, from the same pass.
        boxes_K4: x, y, width, height of the label table's boxes, in pixels of the input.
        peak: x, y of the map's highest point on the input, in pixels; None without evidence.
    """

    image_SS: NDArray[np.uint8]
    map_MM: NDArray[np.float32]
    heat_SS: NDArray[np.float32]
    probability: float
    boxes_K4: NDArray[np.float64]
    peak: tuple[float, float] | None


def heat_map(source: MapSource, image: str, finding: str, method: Method) -> HeatMap:
    """The checkpoint's map of one finding in one image of the data set.

    Raises:
        DataError: no such image, or it can't be read.
        UsageError: no such finding.
    """
    candidate = candidate_of(source, image, known_finding(source, finding))
    if candidate is None:
        raise DataError(
            f"no part has a scored image {image!r}",
            remedy="Name it as the label table does; test images are scored at the end of the run.",
        )
    cache = source.cache([image])
    if image in cache.quarantined:
        raise DataError(f"can't be read ({cache.quarantined[image]})", where=image)
    ((found,),) = maps_of(source, cache, [candidate], method)
    top = found.map_MM.max() or 1  # all zero without evidence: nothing is stretched
    return HeatMap(
        image_SS=cache.pixels(cache.rows_of([image]))[0],
        map_MM=found.map_MM,
        heat_SS=upsampled(found.map_MM / top, found.size_px).astype(np.float32),
        probability=found.probability,
        boxes_K4=found.boxes_K4,
        peak=found.peak,
    )
