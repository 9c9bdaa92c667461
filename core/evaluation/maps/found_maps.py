"""From candidates to their maps, a batch at a time, and the comparison with their boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache import ImageCache
from core.data.images.square import square_region
from core.evaluation.calibrating.recalibration import LogitMap
from core.evaluation.maps.candidates import Candidate
from core.evaluation.maps.gradcam import FindingMaps, finding_maps
from core.evaluation.maps.localization import BoxedMap
from core.evaluation.maps.map_geometry import (
    Floats,
    boxes_on_input,
    energy_inside,
    is_inside,
    overlaps,
    peak_of,
    regions_of,
)
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.methods import Method

_Made = TypeVar("_Made")


class OnDevice(Protocol):
    """Runs a short piece of work on the network's device: immediately, or between steps of a
    run."""

    def __call__(self, work: Callable[[], _Made], /) -> _Made:
        """Return the result of the work."""


BATCH_IMAGES = 16


@dataclass(frozen=True, eq=False)
class FoundMap:
    """A candidate with its map.

    Attributes:
        map_MM: evidence per cell of the network's last map; all zero if there is none.
        logit: from the same pass, in fp32.
        boxes_K4: x, y, w, h on the network's input.
        width_px, height_px: size of the image file.
    """

    candidate: Candidate
    method: Method
    map_MM: NDArray[np.float32]
    logit: float
    boxes_K4: Floats
    width_px: int
    height_px: int
    size_px: int
    resize: str
    recalibrated: LogitMap | None = None

    @property
    def probability(self) -> float:
        """Probability of the finding, from the pass that made the map; recalibrated if the session
        is."""
        logit = np.array([self.logit], dtype=np.float64)
        if self.recalibrated is not None:
            logit = self.recalibrated(logit)
        return float(1 / (1 + np.exp(-logit[0])))

    @property
    def cell_px(self) -> float:
        """Side of a map's cell on the input."""
        return self.size_px / len(self.map_MM)

    @property
    def has_evidence(self) -> bool:
        """Whether anything in the image supports the finding."""
        return bool(self.map_MM.max() > 0)

    @cached_property
    def peak(self) -> tuple[float, float] | None:
        """The map's highest point on the input; None without evidence."""
        return peak_of(self.map_MM, self.size_px)

    @property
    def hit(self) -> bool | None:
        """Whether the peak is in a box; None without a box."""
        return self._points_into(0.0)

    @property
    def near(self) -> bool | None:
        """Whether it is within half a map cell of one."""
        return self._points_into(self.cell_px / 2)

    @cached_property
    def best_overlaps(self) -> tuple[float, float] | None:
        """Best IoU and IoBB of the map's regions (Wang et al. 2017); None without a box."""
        if not len(self.boxes_K4):
            return None
        iou_DK, iobb_DK = overlaps(regions_of(self.map_MM, self.size_px), self.boxes_K4)
        return float(iou_DK.max(initial=0.0)), float(iobb_DK.max(initial=0.0))

    @cached_property
    def energy(self) -> float | None:
        """Share of the map's sum in the boxes; None without a box or without evidence."""
        if not len(self.boxes_K4) or not self.has_evidence:
            return None
        return float(energy_inside(self.map_MM[None], self.boxes_K4, self.size_px)[0])

    def on_image(self, x: float, y: float) -> tuple[float, float]:
        """A point on the input, in pixels of the image file."""
        left, top, right, bottom = square_region(self.width_px, self.height_px, self.resize)
        return (
            left + x * (right - left) / self.size_px,
            top + y * (bottom - top) / self.size_px,
        )

    def boxes_on_image(self) -> Floats:
        """The boxes in pixels of the image file."""
        low = [self.on_image(x, y) for x, y, _, _ in self.boxes_K4]
        high = [self.on_image(x + w, y + h) for x, y, w, h in self.boxes_K4]
        both = np.array(low).reshape(-1, 2), np.array(high).reshape(-1, 2)
        return np.concatenate([both[0], both[1] - both[0]], axis=1)

    def boxed(self) -> BoxedMap:
        """As input of the localisation."""
        return BoxedMap(
            image=self.candidate.image,
            patient=self.candidate.patient,
            finding=self.candidate.finding,
            map_MM=self.map_MM,
            boxes_K4=self.boxes_K4,
            probability=self.probability,
            logit=self.logit,
        )

    def _points_into(self, margin_px: float) -> bool | None:
        if not len(self.boxes_K4):
            return None
        return self.peak is not None and is_inside(*self.peak, self.boxes_K4, margin_px)


def at_once(work: Callable[[], _Made]) -> _Made:
    """Run the work directly: nothing else uses the device."""
    return work()


def readable(
    candidates: Sequence[Candidate], cache: ImageCache
) -> tuple[list[Candidate], dict[str, str]]:
    """Those whose images could be read, and why the others couldn't, by name."""
    unreadable = {
        candidate.image: cache.quarantined[candidate.image]
        for candidate in candidates
        if candidate.image in cache.quarantined
    }
    return [one for one in candidates if one.image not in unreadable], unreadable


def maps_of(
    source: MapSource,
    cache: ImageCache,
    candidates: Sequence[Candidate],
    method: Method = "grad-cam",
    on_device: OnDevice = at_once,
    *,
    batch_images: int = BATCH_IMAGES,
) -> Iterator[list[FoundMap]]:
    """The candidates' maps in their order, a batch at a time; none may be quarantined."""
    for start in range(0, len(candidates), batch_images):
        batch = candidates[start : start + batch_images]
        rows = cache.rows_of([candidate.image for candidate in batch])
        pixels_BSS, sizes_B2 = cache.pixels(rows), cache.original_sizes_px(rows)
        findings = [candidate.finding for candidate in batch]

        maps = on_device(partial(_looked, source, pixels_BSS, findings, method))
        yield [
            _found(source, candidate, method, map_MM, float(logit), (int(size[0]), int(size[1])))
            for candidate, map_MM, logit, size in zip(
                batch, maps.maps_BMM, maps.logits_B, sizes_B2, strict=True
            )
        ]


def _looked(
    source: MapSource, pixels_BSS: NDArray[np.uint8], findings: list[str], method: Method
) -> FindingMaps:
    with source.network() as model:
        return finding_maps(model, source.pixels(pixels_BSS), findings, method)


def _found(
    source: MapSource,
    candidate: Candidate,
    method: Method,
    map_MM: NDArray[np.float32],
    logit: float,
    size: tuple[int, int],
) -> FoundMap:
    width_px, height_px = size
    resize = source.model.input_spec.resize
    table_px = source.boxes.size_px if source.boxes is not None else 1
    boxes_K4 = boxes_on_input(
        candidate.boxes_K4, table_px, width_px, height_px, resize, source.size_px
    )
    return FoundMap(
        candidate=candidate,
        method=method,
        map_MM=map_MM,
        logit=logit,
        boxes_K4=boxes_K4,
        width_px=width_px,
        height_px=height_px,
        size_px=source.size_px,
        resize=resize,
        recalibrated=source.recalibrated(candidate.finding),
    )
