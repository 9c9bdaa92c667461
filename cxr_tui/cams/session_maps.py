"""The maps of one session, as far as they are made; filled on threads, read by the painting one.

The engine's modules are loaded inside of the functions: they bring torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import CxrError
from core.store.session import Session

if TYPE_CHECKING:
    from core.evaluation.maps.candidates import Candidate
    from core.evaluation.maps.cover_drops import CoverDrop
    from core.evaluation.maps.found_maps import FoundMap, OnDevice
    from core.evaluation.maps.gradcam import Method
    from core.evaluation.maps.map_source import MapSource
    from core.evaluation.maps.overlay import Grey

METHOD_TITLES: dict[str, str] = {
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "layer-cam": "LayerCAM",
    "cam": "CAM",
}
"""In the order in which a key goes through them."""

_OUTCOMES_EACH = 12
"""Images without a box that are listed of each outcome: the surest."""

_IMAGES_KEPT = 48
BATCH_ALONE, BATCH_BESIDE_A_RUN = 8, 2
"""Images at once; beside a run fewer, so that none of its steps waits for long."""


@dataclass(eq=False)
class SessionMaps:
    """What is known of a session's maps.

    ``maps`` is keyed by method, image and finding; ``standing`` by method and finding.
    """

    session: Session
    source: MapSource
    candidates: dict[str, list[Candidate]]
    maps: dict[tuple[str, str, str], FoundMap] = field(default_factory=dict)
    images: OrderedDict[str, Grey] = field(default_factory=OrderedDict)
    unreadable: dict[str, str] = field(default_factory=dict)
    standing: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    drops: dict[tuple[str, str], CoverDrop] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[str, ...]:
        """What the network knows."""
        return self.source.model.findings

    def found(self, method: str, candidate: Candidate) -> FoundMap | None:
        """The candidate's map, where it is made."""
        return self.maps.get((method, candidate.image, candidate.finding))

    def take(self, found: Sequence[FoundMap]) -> None:
        """Keep maps."""
        for one in found:
            self.maps[one.method, one.candidate.image, one.candidate.finding] = one

    def with_image(self, image: str, finding: str) -> bool:
        """List the image first where it wasn't listed; False where it is gone."""
        from core.evaluation.maps.candidates import candidate_of

        listed = self.candidates[finding]
        if all(one.image != image for one in listed):
            one = candidate_of(self.source, image, finding)
            if one is None:
                return False
            listed.insert(0, one)
        return True

    def take_image(self, image: str, grey: Grey) -> None:
        """Keep an image, and the last few before it."""
        self.images[image] = grey
        self.images.move_to_end(image)
        while len(self.images) > _IMAGES_KEPT:
            self.images.popitem(last=False)


def open_maps(session: Session, cache: Path, device: str) -> SessionMaps:
    """The session's network and what there is to look at.

    Raises:
        DataError, UsageError: see ``core.evaluation.maps.map_source``.
    """
    from core.evaluation.maps.map_source import open_map_source

    source = open_map_source(session, cache, device)
    return SessionMaps(
        session, source, {finding: _listed(source, finding) for finding in source.model.findings}
    )


def _listed(source: MapSource, finding: str) -> list[Candidate]:
    from core.evaluation.maps.candidates import boxed, boxed_in_training, outcomes

    first = boxed(source, finding)
    with_boxes = {candidate.image for candidate in first}
    others: list[Candidate] = []
    counts: dict[str, int] = {}
    for candidate in outcomes(source, finding):
        if candidate.image in with_boxes:
            continue
        counts[candidate.kind] = counts.get(candidate.kind, 0) + 1
        if counts[candidate.kind] <= _OUTCOMES_EACH:
            others.append(candidate)
    return [*first, *others, *boxed_in_training(source, finding)]


def make_maps(
    kept: SessionMaps,
    candidates: Sequence[Candidate],
    method: Method,
    on_device: OnDevice[Any],
    is_running: Callable[[], bool],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[list[FoundMap], dict[str, str]]]:
    """Maps a few at a time, and why some images have none."""
    from core.evaluation.maps.found_maps import maps_of, readable

    cache = kept.source.cache([one.image for one in candidates], should_stop=should_stop)
    left, unreadable = readable(candidates, cache)
    yield [], unreadable
    while left:
        batch = BATCH_BESIDE_A_RUN if is_running() else BATCH_ALONE
        now, left = left[:batch], left[batch:]
        for found in maps_of(kept.source, cache, now, method, on_device, batch_images=batch):
            yield found, {}


def standing_of(kept: SessionMaps, finding: str, method: str) -> dict[str, float] | None:
    """How many peaks are in their boxes, for the map and each control; None before all are made."""
    from core.evaluation.maps.localization import MEASURES, NEAR, POINTING, measured

    boxed = [one for one in kept.candidates[finding] if one.kind == "boxed"]
    made = [kept.found(method, one) for one in boxed if one.image not in kept.unreadable]
    found = [one for one in made if one is not None and len(one.boxes_K4)]
    if not found or None in made:
        return None
    values = measured([one.boxed() for one in found], kept.source.size_px)
    column = MEASURES.index(POINTING)
    standing = {name: float(rows[:, column].sum()) for name, rows in values.items()}
    near = float(values["map"][:, MEASURES.index(NEAR)].sum())
    return standing | {"near": near, "of": float(len(found))}


def cover(kept: SessionMaps, found: FoundMap, on_device: OnDevice[Any]) -> CoverDrop:
    """The fall of the logit with this image's boxes covered."""
    from core.evaluation.maps.cover_drops import cover_drops

    cache = kept.source.cache([found.candidate.image])
    ((drop,),) = cover_drops(kept.source, cache, [found], on_device)
    return drop


def full_image(kept: SessionMaps, image: str) -> Grey:
    """The image file in grey.

    Raises:
        DataError: it is gone, or can't be read any more.
    """
    from core.evaluation.maps.cam_files import read_image

    return read_image(kept.source, image)


def save_maps(
    kept: SessionMaps,
    found: Sequence[FoundMap],
    opacity: float,
    threshold: float,
    should_stop: Callable[[], bool],
) -> tuple[list[Path], list[str]]:
    """Overlays in the session's ``cams/`` with their rows in cams.csv, and what can't be read.

    Raises:
        OSError: the folder can't be written to.
    """
    from core.evaluation.maps.cam_files import read_image, save_overlay, table_row
    from core.evaluation.maps.cam_table import add_to_table

    folder = kept.session.path / "cams"
    files: list[Path] = []
    faults: list[str] = []
    rows = []
    for one in found:
        if should_stop():
            break
        try:
            grey = read_image(kept.source, one.candidate.image)
            file = save_overlay(
                kept.source, one, grey, folder, opacity=opacity, threshold=threshold
            )
        except CxrError as error:
            faults.append(str(error))
            continue
        files.append(file)
        rows.append(table_row(kept.source, one, file.name))
    if rows:
        add_to_table(folder / "cams.csv", rows)
    return files, faults


def localize_all(
    kept: SessionMaps,
    method: Method,
    on_device: OnDevice[Any],
    is_running: Callable[[], bool],
    progress: Callable[[str, int, int], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Every boxed image of the test part; evaluation/localization.json."""
    from core.evaluation.maps.cams import localize

    return localize(
        kept.source,
        method,
        progress=progress,
        on_device=on_device,
        batch_images=BATCH_BESIDE_A_RUN if is_running() else BATCH_ALONE,
        should_stop=should_stop,
    )
