"""``cam`` from end to end: draw images, make their maps and files, measure all boxed ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.images.full_image import read_image
from core.data.images.grey_rule import GreyRule
from core.errors import DataError, SessionError
from core.evaluation.maps.cam_files import (
    save_contact_sheet,
    save_overlay,
    table_row,
)
from core.evaluation.maps.cam_pictures import tile_of
from core.evaluation.maps.cam_table import add_to_table
from core.evaluation.maps.candidates import Candidate, boxed, draw, known_finding
from core.evaluation.maps.cover_drops import CoverDrop, cover_drops
from core.evaluation.maps.found_maps import (
    BATCH_IMAGES,
    FoundMap,
    OnDevice,
    at_once,
    maps_of,
    readable,
)
from core.evaluation.maps.localization_report import localization_report
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.methods import Method
from core.evaluation.maps.overlay import Colours
from core.evaluation.maps.picture_layout import SHEET_MOST
from core.store.disk import passing_trouble, trouble_in_words
from core.store.plain_files import refuse_links

Progress = Callable[[str, int, int], None]
SHEET_NAME, TABLE_NAME = "contact-sheet.png", "cams.csv"


@dataclass(frozen=True, eq=False)
class DrawnCams:
    """Maps that were drawn and saved.

    Attributes:
        shown: the maps, in the order of their files.
        files: one PNG per map.
        sheet: all of them in one picture.
        table: cams.csv.
        warnings: images that could not be read, and similar.
    """

    shown: tuple[FoundMap, ...]
    files: tuple[Path, ...]
    sheet: Path
    table: Path
    warnings: tuple[str, ...]

    @property
    def num_boxed(self) -> int:
        """Number of maps with a box to compare with."""
        return sum(len(found.boxes_K4) > 0 for found in self.shown)


def chosen_candidates(
    source: MapSource, finding: str | None, count: int, seed: int
) -> list[Candidate]:
    """``count`` images of one finding, or, without one, of each finding in turn that has boxes.

    Raises:
        UsageError: an unknown finding.
        DataError: there is no image to draw.
    """
    if finding is not None:
        drawn = draw(source, known_finding(source, finding), count, seed)
    else:
        names = source.model.findings
        with_boxes = [name for name in names if boxed(source, name)] or list(names)
        each = [draw(source, name, count, seed) for name in with_boxes]
        in_turn = [group[place] for place in range(count) for group in each if place < len(group)]
        drawn = sorted(in_turn[:count], key=lambda one: with_boxes.index(one.finding))
    if not drawn:
        what = finding or "any finding"
        raise DataError(
            f"the test part has no image of {what} to draw: none with a box, none positive",
            where=source.session.path / "predictions" / "test.csv",
            remedy="Let the run finish and score its test part, or name another finding.",
        )
    return drawn


def draw_cams(
    source: MapSource,
    candidates: Sequence[Candidate],
    method: Method,
    *,
    progress: Progress = lambda *_: None,
) -> DrawnCams:
    """Maps of the candidates, saved under the session's ``cams/``.

    Raises:
        DataError: no image can be read any longer.
        SessionError: the folder can't be written to, or the disk is full.
    """
    with _written(source.session.path / "cams"):
        return _draw(source, candidates, method, progress)


@contextlib.contextmanager
def _written(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"can't be written ({error.strerror or error})"
        if passing_trouble(error) is not None:
            what += ": " + trouble_in_words(error, where)
        raise SessionError(
            what,
            where=error.filename or where,
            why="Files saved earlier are still there.",
            remedy="Free disk space or ask its owner, or use a copy of the session.",
        ) from error


def _draw(
    source: MapSource, candidates: Sequence[Candidate], method: Method, progress: Progress
) -> DrawnCams:
    refuse_links(source.session.path)
    cache = source.cache([candidate.image for candidate in candidates])
    kept, unreadable = readable(candidates, cache)
    warnings = [f"{image} can't be read: {reason}" for image, reason in unreadable.items()]
    shown: list[FoundMap] = []
    for batch in maps_of(source, cache, kept, method):
        shown += batch
        progress("maps", len(shown), len(kept))
    folder = source.session.path / "cams"
    files: list[Path] = []
    saved: list[FoundMap] = []
    tiles: list[Colours] = []
    for rank, found in enumerate(shown, start=1):
        try:
            grey_HW = read_image(
                source.study.index.files[found.candidate.image],
                GreyRule.of(source.study.recipe.image),
            )
            files.append(save_overlay(source, found, grey_HW, folder, rank=rank))
        except DataError as error:  # in the cache, but no longer on the disk
            warnings.append(str(error))
        else:
            saved.append(found)
            tiles.append(tile_of(found, grey_HW))
        progress("overlays", rank, len(shown))
    if not saved:
        raise DataError(
            f"none of the {len(candidates)} images drawn can still be read",
            where=source.study.sources.images,
            why="; ".join(warnings[:3]),
            remedy="Restore the images.",
        )
    sheet = save_contact_sheet(source, tiles, folder / SHEET_NAME)
    if len(tiles) > SHEET_MOST:
        warnings.append(f"the contact sheet shows only the first {SHEET_MOST} of {len(tiles)}")
    rows = [table_row(source, found, file.name) for found, file in zip(saved, files, strict=True)]
    add_to_table(folder / TABLE_NAME, rows)
    return DrawnCams(tuple(saved), tuple(files), sheet, folder / TABLE_NAME, tuple(warnings))


def localize(
    source: MapSource,
    method: Method,
    *,
    progress: Progress = lambda *_: None,
    on_device: OnDevice = at_once,
    batch_images: int = BATCH_IMAGES,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Measure all boxed images of the test part; writes and returns
    ``evaluation/localization.json``.

    Raises:
        SessionError: it can't be written.
    """
    candidates = [one for finding in source.model.findings for one in boxed(source, finding)]
    found: list[FoundMap] = []
    drops: list[CoverDrop] = []
    unreadable: dict[str, str] = {}
    if candidates:
        images = [candidate.image for candidate in candidates]
        cache = source.cache(images, should_stop=should_stop)
        kept, unreadable = readable(candidates, cache)
        for batch in maps_of(source, cache, kept, method, on_device, batch_images=batch_images):
            found += batch
            progress("boxed images", len(found), len(kept))
        for covers in cover_drops(source, cache, found, on_device, batch_images=batch_images):
            drops += covers
            progress("covering boxes", len(drops), len(found))
    report = localization_report(source, found, drops, unreadable)
    with _written(source.session.path / "evaluation"):
        source.session.write_json("evaluation/localization.json", report)
    return report


__all__ = [
    "DrawnCams",
    "chosen_candidates",
    "draw_cams",
    "localize",
]
