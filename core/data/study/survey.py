"""A data set read once, so that choices in it can be changed and viewed immediately.

Reading NIH's label table takes most of a second, its lists a quarter; drawing parts again and
counting them takes a tenth. A Survey holds what was read, and ``picture_of`` does the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from core.data.cache.quarantine import read_quarantine
from core.data.images.image_files import images_fingerprint
from core.data.study.audit import audit
from core.data.study.audit_report import AuditReport
from core.data.study.found_images import with_images
from core.data.study.index import build_index
from core.data.study.sources import DataSources, MakePhantom, locate_sources
from core.data.study.split import ListedRows, make_split, read_lists
from core.data.study.study_boxes import study_boxes
from core.data.study.study_index import StudyIndex, with_findings
from core.data.study.subset import draw_subset
from core.data.tables.boxes import Boxes
from core.errors import CxrError
from core.recipe import PARTS, Recipe


@dataclass(frozen=True, eq=False)
class Survey:
    """What was read of a data set; ``index`` has every finding of its table.

    ``quarantined`` holds the images that an earlier ingest could not decode, with the reason.
    """

    sources: DataSources
    index: StudyIndex
    boxes: Boxes | None
    quarantined: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def listed(self) -> ListedRows:
        """The rows in the lists, read on first use."""
        return read_lists(self.index, self.sources)

    def read_ahead(self) -> None:
        """Read the lists, if there are any, so that choosing them later takes no time."""
        with contextlib.suppress(CxrError):  # reported when they are chosen
            _ = self.listed


@dataclass(frozen=True, eq=False)
class Picture:
    """A data set under a recipe.

    ``report`` is an audit's (without a fingerprint); ``images_before_subset`` counts each
    part's images before the subset's draw.
    """

    recipe: Recipe
    report: AuditReport
    images_before_subset: Mapping[str, int]


def read_survey(recipe: Recipe, cache: Path, *, make_phantom: MakePhantom | None = None) -> Survey:
    """Read the tables of a recipe's data set, without looking for images.

    Raises:
        RecipeError, DataError: see ``locate_sources``, ``build_index`` and ``study_boxes``.
    """
    sources = locate_sources(recipe, cache=cache, labels_only=True, make_phantom=make_phantom)
    index = build_index(recipe, sources, labels_only=True, every_finding=True)
    return Survey(sources, index, study_boxes(index, sources))


def with_found_images(
    survey: Survey, cache: Path, *, progress: Callable[[int], None] | None = None
) -> Survey:
    """The survey of the images that are found, however few.

    Args:
        survey: of the whole table.
        cache: the folder of caches, to see what they hold of this data set.
        progress: called with the number of images found so far.

    Raises:
        RecipeError, DataError: see ``with_images``.
    """
    index = with_images(
        survey.index,
        survey.sources,
        partial=True,
        listings=cache / "listings",
        progress=progress,
    )
    # A data set has a cache for each size and way of resizing; any of them may have quarantined a
    # file.
    quarantined: dict[str, str] = {}
    for folder in sorted(cache.glob(f"*-{images_fingerprint(index.files)}")):
        quarantined |= read_quarantine(folder / "quarantine.csv")
    # Where originals tell the boxes' scale, they are known only now.
    boxes = survey.boxes or study_boxes(index, survey.sources)
    return Survey(survey.sources, index, boxes, quarantined)


def picture_of(survey: Survey, recipe: Recipe) -> Picture:
    """Draw the recipe's parts and subset, and count what is in them.

    Raises:
        RecipeError, DataError: see ``with_findings``, ``make_split`` and ``draw_subset``.
    """
    index = with_findings(survey.index, recipe.dataset.findings)
    is_own = bool(index.each) or index.table.kind not in ("nih", "table")
    own_parts = is_own and recipe.split.by == "official"
    listed = None if recipe.split.by == "patient" or own_parts else survey.listed
    split = make_split(index, recipe.split, survey.sources, listed=listed, for_audit=True)
    drawn = draw_subset(index, split, recipe.subset)
    report = audit(recipe, survey.sources, index, drawn, survey.boxes, fingerprint=False)
    return Picture(recipe, report, {part: len(split.rows[part]) for part in PARTS})
