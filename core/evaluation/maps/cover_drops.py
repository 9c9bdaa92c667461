"""The drop of the logit if the lesion is covered, and if an equal box elsewhere is."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache import ImageCache
from core.evaluation.maps.cover import covered, elsewhere
from core.evaluation.maps.found_maps import BATCH_IMAGES, FoundMap, OnDevice, at_once
from core.evaluation.maps.gradcam import finding_logits
from core.evaluation.maps.map_geometry import Floats, boxes_on_input
from core.evaluation.maps.map_source import MapSource


@dataclass(frozen=True, eq=False)
class CoverDrop:
    """One image with its lesion covered.

    Attributes:
        box: drop of the logit with the lesion's boxes covered.
        elsewhere: with equal boxes elsewhere in the lungs; None if there was no space.
        elsewhere_K4: where these were, on the network's input.
    """

    found: FoundMap
    box: float
    elsewhere: float | None
    elsewhere_K4: Floats | None


def cover_drops(
    source: MapSource,
    cache: ImageCache,
    found: Sequence[FoundMap],
    on_device: OnDevice = at_once,
    *,
    batch_images: int = BATCH_IMAGES,
) -> Iterator[list[CoverDrop]]:
    """The drops of maps that have boxes, in their order, a batch at a time: two passes per
    image."""
    boxed = [one for one in found if len(one.boxes_K4)]
    for start in range(0, len(boxed), batch_images):
        batch = boxed[start : start + batch_images]
        pixels_BSS = cache.pixels(cache.rows_of([one.candidate.image for one in batch]))
        places = [_elsewhere(source, one) for one in batch]
        painted = [
            *(covered(pixels, one.boxes_K4) for pixels, one in zip(pixels_BSS, batch, strict=True)),
            *(
                pixels if place_K4 is None else covered(pixels, place_K4)
                for pixels, place_K4 in zip(pixels_BSS, places, strict=True)
            ),
        ]
        findings = [one.candidate.finding for one in batch] * 2

        look = partial(_logits, source, np.stack(painted), findings)
        logits_2B = on_device(look)
        yield [
            CoverDrop(
                found=one,
                box=one.logit - float(logits_2B[place]),
                elsewhere=None
                if where_K4 is None
                else one.logit - float(logits_2B[len(batch) + place]),
                elsewhere_K4=where_K4,
            )
            for place, (one, where_K4) in enumerate(zip(batch, places, strict=True))
        ]


def _logits(
    source: MapSource, painted_BSS: NDArray[np.uint8], findings: list[str]
) -> NDArray[np.float32]:
    with source.network() as model:
        return finding_logits(model, source.pixels(painted_BSS), findings)


def _elsewhere(source: MapSource, one: FoundMap) -> Floats | None:
    """Clear of every box of the image, whatever its finding; the same in every run."""
    image = one.candidate.image
    assert source.boxes is not None  # boxes come from this table
    on_it = source.boxes.take(source.boxes.image == image)
    table_K4 = np.column_stack([on_it.x, on_it.y, on_it.w, on_it.h])
    lesions_K4 = boxes_on_input(
        table_K4, on_it.size_px, one.width_px, one.height_px, one.resize, one.size_px
    )
    seed = zlib.crc32(f"{image} {one.candidate.finding}".encode())
    return elsewhere(one.boxes_K4, lesions_K4, one.size_px, seed=seed)
