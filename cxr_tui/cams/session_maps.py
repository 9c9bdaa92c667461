"""The maps of one session made so far; filled on threads, read by the painting one.

The engine's modules are imported inside the functions: they load torch.
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
    from core.evaluation.maps.map_source import MapSource
    from core.evaluation.maps.methods import Method
    from core.evaluation.maps.overlay import Grey
    from core.evaluation.predicting.given_maps import SeenImage

METHOD_TITLES: dict[str, str] = {
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "layer-cam": "LayerCAM",
    "cam": "CAM",
}
"""In the order of the key."""

_OUTCOMES_EACH = 12
"""Number of images without a box listed for each outcome: the most certain ones."""

_IMAGES_KEPT = 48
BATCH_ALONE, BATCH_BESIDE_A_RUN = 8, 2
"""Images per batch; fewer during a run, so that none of its steps waits for long."""


@dataclass(eq=False)
class SessionMaps:
    """What is known of a session's maps.

    ``maps`` is keyed by method, image and finding; ``standing`` by method and finding. ``given``
    are images opened by their path, which no table has.
    """

    session: Session
    source: MapSource
    candidates: dict[str, list[Candidate]]
    maps: dict[tuple[str, str, str], FoundMap] = field(default_factory=dict)
    images: OrderedDict[str, Grey] = field(default_factory=OrderedDict)
    unreadable: dict[str, str] = field(default_factory=dict)
    standing: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    drops: dict[tuple[str, str], CoverDrop] = field(default_factory=dict)
    given: dict[str, SeenImage] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings that the network knows."""
        return self.source.model.findings

    def found(self, method: str, candidate: Candidate) -> FoundMap | None:
        """The candidate's map, if it is made."""
        return self.maps.get((method, candidate.image, candidate.finding))

    def take(self, found: Sequence[FoundMap]) -> None:
        """Store maps."""
        for one in found:
            self.maps[one.method, one.candidate.image, one.candidate.finding] = one

    def with_image(self, image: str, finding: str) -> bool:
        """List the image first if it isn't listed; False if it is gone."""
        from core.evaluation.maps.candidates import candidate_of

        listed = self.candidates[finding]
        if all(one.image != image for one in listed):
            one = candidate_of(self.source, image, finding)
            if one is None:
                return False
            listed.insert(0, one)
        return True

    def take_given(self, seen: SeenImage) -> str:
        """List an image of no table first, under every finding; its name in the list."""
        image = seen.decoded.file
        self.given[image] = seen
        self.unreadable.pop(image, None)
        self.images.pop(image, None)
        for finding, candidate in seen.candidates().items():
            others = [one for one in self.candidates[finding] if one.image != image]
            self.candidates[finding] = [candidate, *others]
        self.maps = {key: found for key, found in self.maps.items() if key[1] != image}
        return image

    def take_image(self, image: str, grey: Grey) -> None:
        """Store an image, and keep the last few before it."""
        self.images[image] = grey
        self.images.move_to_end(image)
        while len(self.images) > _IMAGES_KEPT:
            self.images.popitem(last=False)


def open_maps(session: Session, cache: Path, device: str) -> SessionMaps:
    """The session's network and the images to look at.

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


def file_of(kept: SessionMaps, cache: Path, part: str, image: str) -> Path:
    """The file of an image of another data set.

    Raises:
        CxrError: see ``path_of_image``.
    """
    from core.evaluation.wrong_sheet import path_of_image

    return path_of_image(kept.session, cache, image, part)


def see(kept: SessionMaps, path: Path, on_device: OnDevice, *, is_running: bool) -> SeenImage:
    """Score an image of no table; beside a run nothing is learnt for its flags.

    Raises:
        DataError, RunFailedError: see ``core.evaluation.predicting.given_maps``.
    """
    from core.evaluation.predicting.given_maps import see_image

    return see_image(kept.source, path, on_device=on_device, may_learn=not is_running)


def make_maps(
    kept: SessionMaps,
    candidates: Sequence[Candidate],
    method: Method,
    on_device: OnDevice,
    is_running: Callable[[], bool],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[list[FoundMap], dict[str, str]]]:
    """Make maps a few at a time; also gives why some images have none."""
    from core.evaluation.maps.found_maps import maps_of, readable

    given = [(kept.given[one.image], one.finding) for one in candidates if one.image in kept.given]
    if given:
        from core.evaluation.predicting.given_maps import given_maps

        yield given_maps(kept.source, given, method, on_device), {}
    candidates = [one for one in candidates if one.image not in kept.given]
    if not candidates:
        return
    cache = kept.source.cache([one.image for one in candidates], should_stop=should_stop)
    left, unreadable = readable(candidates, cache)
    yield [], unreadable
    while left:
        batch = BATCH_BESIDE_A_RUN if is_running() else BATCH_ALONE
        now, left = left[:batch], left[batch:]
        for found in maps_of(kept.source, cache, now, method, on_device, batch_images=batch):
            yield found, {}


def standing_of(kept: SessionMaps, finding: str, method: str) -> dict[str, float] | None:
    """Number of peaks in their boxes, for the map and each control; None before all are made."""
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


def cover(kept: SessionMaps, found: FoundMap, on_device: OnDevice) -> CoverDrop:
    """Drop of the logit with this image's boxes covered."""
    from core.evaluation.maps.cover_drops import cover_drops

    cache = kept.source.cache([found.candidate.image])
    ((drop,),) = cover_drops(kept.source, cache, [found], on_device)
    return drop


def full_image(kept: SessionMaps, image: str) -> Grey:
    """The image file in grey.

    Raises:
        DataError: it is gone, or can no longer be read.
    """
    if image in kept.given:
        from core.evaluation.predicting.given_maps import given_grey

        return given_grey(kept.given[image])
    from core.data.images.full_image import read_image
    from core.data.images.grey_rule import GreyRule

    study = kept.source.study
    return read_image(study.index.files[image], GreyRule.of(study.recipe.image))


def save_maps(
    kept: SessionMaps,
    found: Sequence[FoundMap],
    opacity: float,
    threshold: float,
    should_stop: Callable[[], bool],
) -> tuple[list[Path], list[str]]:
    """Save overlays in the session's ``cams/`` with their rows in cams.csv; returns what can't be
    read.

    Raises:
        OSError: the folder can't be written to.
    """
    from core.evaluation.maps.cam_files import save_overlay, table_row
    from core.evaluation.maps.cam_table import add_to_table

    folder = kept.session.path / "cams"
    files: list[Path] = []
    faults: list[str] = []
    rows = []
    for one in found:
        if should_stop():
            break
        try:
            grey = full_image(kept, one.candidate.image)
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
    on_device: OnDevice,
    is_running: Callable[[], bool],
    progress: Callable[[str, int, int], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Measure every boxed image of the test part; writes evaluation/localization.json."""
    from core.evaluation.maps.cams import localize

    return localize(
        kept.source,
        method,
        progress=progress,
        on_device=on_device,
        batch_images=BATCH_BESIDE_A_RUN if is_running() else BATCH_ALONE,
        should_stop=should_stop,
    )
