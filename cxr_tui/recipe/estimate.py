"""What a recipe would need here: images, steps, cache, disk, device; imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.cache.cache import cache_size_bytes, count_ready
from core.data.images.grey_rule import GreyRule
from core.data.study.sources import locate_sources, phantom_folder
from core.data.study.split import Split, make_split, refuse_shared_patients
from core.data.study.study_index import StudyIndex, with_findings
from core.data.study.subset import draw_subset
from core.data.study.survey import Survey, read_survey, with_found_images
from core.errors import CxrError
from core.model.input_spec import SQUASH
from core.recipe import IMAGENET, NO_WEIGHTS, PARTS, Recipe
from core.store.disk import free_bytes
from core.words import number_of
from cxr_tui.console.workspace import lacking_weights
from cxr_tui.recipe.device_text import device_words


@dataclass(frozen=True)
class Estimate:
    """What is known so far; None if unknown (yet).

    Attributes:
        stage: what is being checked now; '' when everything that can be known is.
        images: train, val and test.
        steps_per_epoch: optimiser steps.
        cache_bytes: size of the decoded images.
        images_ready: number of images already decoded.
        device: where it would compute, in words.
        disk_free_bytes: on the cache's disk.
        note: anything else that happens at the start.
        problem: why a run would be refused; '' if nothing is known.
    """

    stage: str = ""
    images: Mapping[str, int] | None = None
    steps_per_epoch: int | None = None
    cache_bytes: int | None = None
    images_ready: int | None = None
    device: str = ""
    disk_free_bytes: int | None = None
    note: str = ""
    problem: str = ""

    @property
    def share_ready(self) -> float | None:
        """Share of the images that are already decoded."""
        if self.images is None or self.images_ready is None:
            return None
        return self.images_ready / sum(self.images.values())

    @property
    def lacks_disk(self) -> bool:
        """Whether the images left to decode are known not to fit."""
        if self.cache_bytes is None or self.disk_free_bytes is None:
            return False
        return self.cache_bytes * (1 - (self.share_ready or 0)) > self.disk_free_bytes


class DataAtHand:
    """The data set read last, so that editing other fields doesn't read it again.

    Any thread may ask; one at a time reads.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._known_as: object = None
        self._table: Survey | None = None
        self._found: tuple[Survey, Survey] | None = None
        """A table's survey, and that of its images found."""

    def table(self, recipe: Recipe) -> Survey:
        """Every image of the label table.

        Raises:
            CxrError: see ``core.data.study.survey.read_survey``.
        """
        sources = locate_sources(recipe, cache=self._cache, labels_only=True)
        status = sources.labels.stat()
        read_as = recipe.dataset.model_copy(update={"findings": (), "partial": False})
        how = (read_as, recipe.labels, recipe.datasets)
        known_as = (sources, status.st_mtime_ns, status.st_size, how)
        with self._lock:
            if self._table is None or self._known_as != known_as:
                self._table, self._known_as = read_survey(recipe, self._cache), known_as
            return self._table

    def found(self, recipe: Recipe) -> Survey:
        """The images found, however few.

        Raises:
            CxrError: see ``core.data.study.survey.with_found_images``.
        """
        table = self.table(recipe)
        with self._lock:
            if self._found is None or self._found[0] is not table:
                self._found = (table, with_found_images(table, self._cache))
            return self._found[1]

    def look_for_images_again(self) -> None:
        """Search again next time: a download may have progressed."""
        with self._lock:
            self._found = None


def estimates(recipe: Recipe, cache: Path, device: str, data: DataAtHand) -> Iterator[Estimate]:
    """Increasingly complete estimates of a recipe; the last one has no stage.

    No image is decoded, nothing is written, and no error is raised: an obstacle is in ``problem``.
    """
    lacking = lacking_weights(recipe)
    free = free_bytes(cache)
    estimate = Estimate(stage="looking at this machine", disk_free_bytes=free, problem=lacking)
    yield estimate
    estimate = replace(estimate, device=device_words(device), stage="reading the label table")
    yield estimate
    each = recipe.datasets or (recipe.dataset,)
    phantoms = [one.phantom for one in each if one.phantom is not None]
    undrawn = [one for one in phantoms if not phantom_folder(one, cache).is_dir()]
    if undrawn:
        phantom = undrawn[0]
        note = f"the synthetic set of {number_of(phantom.patients, 'patient')} is drawn first"
        yield replace(estimate, stage="", note=note)
        return
    unnamed = [one.labels is None and one.images is None and one.phantom is None for one in each]
    if any(unnamed):
        problem = "no data set is named: choose one on 2 (Data)"
        if recipe.datasets:
            problem = f"data set {unnamed.index(True) + 1} names no folder of images"
        yield replace(estimate, stage="", problem=problem)
        return
    try:
        for known in _of_data(recipe, cache, data, estimate):
            estimate = known
            yield estimate
    except CxrError as error:
        yield replace(estimate, stage="", problem=error.what)
    except OSError as error:
        yield replace(estimate, stage="", problem=f"the data set can't be read ({error.strerror})")


def steps_in_epoch(num_images: int, batch_size: int) -> int:
    """Optimiser steps, as in ``core.data.batches.steps_per_epoch``, which needs torch."""
    full, rest = divmod(num_images, batch_size)
    return full + (1 if rest > 1 or (rest == 1 and full == 0) else 0)


def _of_data(
    recipe: Recipe, cache: Path, data: DataAtHand, estimate: Estimate
) -> Iterator[Estimate]:
    table = data.table(recipe)
    if not recipe.dataset.partial:  # otherwise the parts are drawn from the images found
        estimate = _with_parts(estimate, recipe, _drawn(recipe, table))
        estimate = replace(estimate, stage="looking for the images")
        yield estimate
    locate_sources(recipe, cache=cache)  # raises if there is no folder of images
    found = data.found(recipe)
    missing = found.index.missing_images or 0
    if missing and not recipe.dataset.partial:
        words = f"{missing:,} of the table's {found.index.num_table_images:,} images are missing"
        remedy = "set partial (dataset) to train without them"
        yield replace(estimate, stage="", problem=f"{words}: {remedy}")
        return
    drawn = _drawn(recipe, found)
    estimate = _with_parts(estimate, recipe, drawn)
    if recipe.model.weights in (IMAGENET, NO_WEIGHTS):
        # A checkpoint may need cropped images instead, which only torch can tell.
        ready = _count_ready(recipe, cache, found.index, drawn)
        estimate = replace(estimate, images_ready=ready)
    yield replace(estimate, stage="")


def _drawn(recipe: Recipe, survey: Survey) -> Split:
    index = with_findings(survey.index, recipe.dataset.findings)
    listed = None if recipe.split.by == "patient" else survey.listed
    split = make_split(index, recipe.split, survey.sources, listed=listed)
    refuse_shared_patients(index, split)
    return draw_subset(index, split, recipe.subset)


def _with_parts(estimate: Estimate, recipe: Recipe, drawn: Split) -> Estimate:
    images = {part: len(drawn.rows[part]) for part in PARTS}
    return replace(
        estimate,
        images=images,
        steps_per_epoch=steps_in_epoch(images["train"], recipe.train.batch_size),
        cache_bytes=cache_size_bytes(sum(images.values()), recipe.image.size_px),
    )


def _count_ready(recipe: Recipe, cache: Path, index: StudyIndex, drawn: Split) -> int:
    used = [str(name) for part in PARTS for name in index.images[drawn.rows[part]]]
    return count_ready(
        cache,
        index.files,
        used,
        size_px=recipe.image.size_px,
        resize=SQUASH,
        rule=GreyRule.of(recipe.image),
    )
