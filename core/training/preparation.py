"""What a run needs before its first step: the data set, the decoded parts, and their checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.batches import Part
from core.data.cache.cache import ImageCache, cache_size_bytes, count_ready, open_cache
from core.data.cache.cache import IngestProgress as CacheProgress
from core.data.cache.quarantine import copies_in_words, refuse_above_share, whole_copies
from core.data.images.grey_rule import GreyRule
from core.data.images.image_file import ImageFile
from core.data.study.part_draw import draws_in_words
from core.data.study.study import Study, miniature, prepare_study, write_split
from core.data.study.together import sources_of
from core.errors import DataError, StoppedError
from core.events import (
    DatasetProgress,
    DatasetReady,
    Event,
    IngestDone,
    IngestProgress,
    Warned,
)
from core.model.provenance import SeenReport, seen_in_test
from core.model.weights import LoadedModel, otherwise_grey
from core.recipe import PARTS, Recipe
from core.store.disk import require_free_bytes
from core.store.finish import END
from core.store.seals import SEALS, Seals
from core.store.session import Session
from core.training.context import RunContext
from core.training.distributed.ranks import ALONE, CACHED, Ranks
from core.training.keeping import has_checkpoint, run_size_bytes
from core.training.resuming.same_images import CONTENT

Record = Callable[[Event], None]


@dataclass(frozen=True)
class Machine:
    """Where a run computes; not what it computes."""

    device: str
    cache: Path
    miniature_images: int | None = None
    """Use only this many images of each part: a full run in miniature (``--check``)."""
    is_attended: bool = False
    """Whether somebody can free space on a full disk: then the run waits without limit."""
    ranks: Ranks = ALONE
    """The processes of the run."""
    opens_test: bool = False
    """Whether a sealed test part is scored, because somebody opens it."""


def ready_study(context: RunContext, recipe: Recipe, machine: Machine) -> Study:
    """The data set; a resumed session must have the same one."""
    session, record, keep = context.session, context.record, context.keep
    known = session.read_json("dataset.json")
    split_file = session.path / "split.csv"
    goes_on = known is not None and split_file.is_file()
    if not goes_on and has_checkpoint(session):
        raise DataError(
            "is missing, or dataset.json next to it",
            where=split_file,
            why="A new split could put training images into test.",
            remedy="Restore the file, or start a new session.",
        )

    def on_progress(stage: str, done: int, total: int | None) -> None:
        if not context.control.may_go_on():
            raise StoppedError(f"asked to stop while {stage}")
        record(DatasetProgress(stage=stage, done=done, total=total))

    study = keep(
        lambda: prepare_study(
            recipe,
            machine.cache,
            recorded_split=split_file if goes_on else None,
            progress=on_progress,
        )
    )
    if machine.miniature_images is not None:
        study = miniature(study, machine.miniature_images)
    fingerprint = study.index.fingerprint()
    if goes_on and known is not None and known.get("fingerprint") != fingerprint:
        raise DataError(
            "the data set differs from the one this session started with: "
            + _what_changed(study, known),
            where=study.sources.labels,
            why="Results of a run whose data changed midway are meaningless.",
            remedy="Restore the old tables and images, or start a new session.",
        )
    if not goes_on:
        keep(lambda: write_split(split_file, study))
        keep(lambda: session.write_json("dataset.json", study.description()))
    record(
        DatasetReady(
            table_version=study.index.table.version,
            findings=study.index.findings,
            images={part: len(study.rows(part)) for part in PARTS},
            patients={part: len(study.patients(part)) for part in PARTS},
            positives=study.positives(),
            dropped={count.reason: count.images for count in study.index.counts},
            fingerprint=fingerprint,
            subset=draws_in_words(study.drawn.draws),
        )
    )
    if machine.miniature_images is None:
        for warning in study.audited()["warnings"]:
            record(Warned(message=warning))
    return study


def _what_changed(study: Study, known: dict[str, Any]) -> str:
    """Which tables differ from dataset.json, and whether the images do."""
    digests, before = study.index.digests(), known.get("digests")
    changed = []
    if isinstance(before, dict):
        changed = [
            role for role in sorted({*digests, *before}) if digests.get(role) != before.get(role)
        ]
    of_tables = [role for role in changed if role != "images"]
    said = [f"a different table for {', '.join(of_tables)}"] if of_tables else []
    if not of_tables or "images" in changed:
        said.append("image files with different names or sizes" if changed else "it has changed")
    return f"{'; '.join(said)} ({len(study.index.images):,} images now, {known.get('images')} then)"


def patients_seen(loaded: LoadedModel, study: Study, recipe: Recipe, record: Record) -> SeenReport:
    """Test patients that the weights have seen; refused unless the recipe says to mark them."""
    for warning in loaded.report.warnings:
        record(Warned(message=warning, where=recipe.model.weights))
    if other_grey := otherwise_grey(loaded, GreyRule.of(recipe.image)):
        record(Warned(message=other_grey, where=recipe.model.weights))
    seen = seen_in_test(
        loaded.provenance, study.patients("test").tolist(), dataset=study.patients_known_as
    )
    if seen.level == "none":
        return seen
    if recipe.model.seen_test_patients == "refuse":
        raise DataError(
            seen.message,
            where=recipe.model.weights,
            why="Test results on patients that the weights have seen are too optimistic.",
            remedy="Choose another split or other weights, or set "
            "model.seen_test_patients=mark to mark the results.",
        )
    return seen


def keep_description(session: Session, study: Study, seen: SeenReport, seals: Seals) -> None:
    """Write dataset.json, with every warning that belongs to the test results."""
    warnings = [seen.message] if seen.level != "none" else []
    known = session.read_json("dataset.json") or {}
    content = {CONTENT: known[CONTENT]} if CONTENT in known else {}
    sealed = seals.to_json() | {END: None}  # filled in when the run ends
    described = {**study.description(), "test_warnings": warnings, SEALS: sealed}
    session.write_json("dataset.json", described | content)


def require_room(session: Session, study: Study, loaded: LoadedModel, machine: Machine) -> None:
    """Refuse to start if the session's disk can't hold the whole run.

    The cache counts too if it is on the same disk and not complete yet.

    Raises:
        NoRoomError: with the space needed and the space free.
    """
    needed_bytes, what = run_size_bytes(study, loaded), "the run"
    needed_bytes -= sum(path.stat().st_size for path in session.checkpoints.glob("*"))
    if _disk_of(machine.cache) == _disk_of(session.path):
        wanted = study.images_used()
        size_px = study.recipe.image.size_px
        ready = count_ready(
            machine.cache,
            study.index.files,
            wanted,
            size_px=size_px,
            resize=loaded.model.input_spec.resize,
            rule=GreyRule.of(study.recipe.image),
        )
        needed_bytes += cache_size_bytes(len(wanted) - ready, size_px)
        what += " with its cache" if ready < len(wanted) else ""
    require_free_bytes(session.path, needed_bytes, what, "--sessions")


def _disk_of(folder: Path) -> int:
    """The device of the folder, or of the place where it will be created."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return there.stat().st_dev


def ready_parts(
    context: RunContext, study: Study, loaded: LoadedModel, machine: Machine
) -> dict[str, Part]:
    """Every part's images, decoded in the cache; those that can't be decoded are left out and
    named."""
    control, record = context.control, context.record
    started = time.monotonic()

    def on_progress(now: CacheProgress) -> None:
        record(IngestProgress(**asdict(now)))

    cache = context.keep(
        lambda: cache_of(
            study.recipe,
            study.index.files,
            study.images_used(),
            loaded.model.input_spec.resize,
            machine.cache,
            machine.miniature_images is not None,
            progress=on_progress,
            should_stop=lambda: not control.may_go_on(),
        )
    )
    for notice in cache.notices:
        record(Warned(message=notice, where=str(cache.folder)))
    machine.ranks.wait_for(CACHED, control.may_go_on)
    used = set(study.images_used())
    quarantined = {name: why for name, why in cache.quarantined.items() if name in used}
    record(
        IngestDone(
            images=len(used) - len(quarantined),
            seconds=time.monotonic() - started,
            quarantined=quarantined,
            repaired=cache.read_otherwise(),
        )
    )
    _judge_quarantined(study, quarantined, cache.folder / "quarantine.csv", record)
    parts = {}
    for name in PARTS:
        rows = [row for row in study.rows(name) if study.index.images[row] not in quarantined]
        if not rows:
            raise DataError(f"no image of the {name} part could be decoded", where=name)
        if np.isnan(study.index.labels_of_part(name)[rows]).all():
            raise DataError(
                f"every label of the {name} part is unknown",
                where=study.sources.labels,
                why="There is nothing to train on or to score.",
                remedy="Choose other findings, or another split.",
            )
        parts[name] = part_of(study, cache, name, np.asarray(rows, dtype=np.int64))
    return parts


def _judge_quarantined(
    study: Study, quarantined: Mapping[str, str], listed_in: Path, record: Record
) -> None:
    """Check quarantined images in a miniature run: the whole run will meet them too, and a damaged
    file may have an intact copy elsewhere.

    Raises:
        DataError: too many images are unusable; the whole run would be refused.
    """
    if study.miniature_of is not None:
        refuse_above_share(
            quarantined,
            study.miniature_of,
            study.recipe.dataset.max_quarantined_share,
            listed_in,
            study.index.files,
        )
    copies = whole_copies(quarantined, study.index.files)
    if copies:
        record(Warned(message=f"among the quarantined images, {copies_in_words(copies)}"))


def cache_of(
    recipe: Recipe,
    files: Mapping[str, ImageFile],
    wanted: Collection[str],
    resize: str,
    folder: Path,
    is_miniature: bool,
    *,
    progress: Callable[[CacheProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ImageCache:
    """The cache of a study's images; see ``open_cache``."""
    return open_cache(
        folder,
        files,
        wanted,
        size_px=recipe.image.size_px,
        resize=resize,
        rule=GreyRule.of(recipe.image),
        # In a miniature one image is a large share; ``_judge_quarantined`` checks against the
        # whole.
        max_quarantined_share=1.0 if is_miniature else recipe.dataset.max_quarantined_share,
        progress=progress,
        should_stop=should_stop,
    )


def part_of(study: Study, cache: ImageCache, name: str, rows_N: NDArray[np.int64]) -> Part:
    """The part with these rows of the index, all of which are in the cache."""
    images_N = study.index.images[rows_N]
    return Part(
        name=name,
        cache=cache,
        cache_rows_N=cache.rows_of(images_N.tolist()),
        index_rows_N=rows_N,
        images_N=images_N,
        patients_N=study.index.patients[rows_N],
        labels_NF=study.index.labels_of_part(name)[rows_N],
        weights_N=study.sampling_weights(name, rows_N),
        sources_N=sources_of(images_N, study.recipe),
        is_even=name == "train" and study.recipe.train.sources == "even",
    )
