"""A recipe's data set, from its files to the parts that are trained on and scored."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.audit import audit, policy_of
from core.data.study.audit_report import AuditReport
from core.data.study.found_images import with_images, with_known_headers
from core.data.study.index import build_index
from core.data.study.part_draw import RECORDED_AS, PartDraw, as_json, read_draws
from core.data.study.sources import DataSources, locate_sources
from core.data.study.split import Split, make_split, refuse_shared_patients, undrawn
from core.data.study.study_boxes import study_boxes
from core.data.study.study_index import StudyIndex
from core.data.study.subset import draw_subset, prevalence_of
from core.data.tables.label_table import is_of_phantom
from core.data.tables.label_version import label_table_name
from core.data.tables.table_patients import refuse_unknown_patients
from core.data.tables.text_file import count_of, table_bytes
from core.errors import DataError
from core.in_slices import in_slices
from core.recipe import PARTS, PhantomSettings, Recipe
from core.store.files import write_whole
from core.store.formula_cells import escape_formula, original

StageProgress = Callable[[str, int, int | None], None]
_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class Study:
    """The data of a run: the images that were found, and which part each is in.

    ``split`` is the whole split; ``drawn`` is what the recipe's subset left of it. For a resumed
    session only the latter is known, with the record of its draw.
    """

    recipe: Recipe
    sources: DataSources
    index: StudyIndex
    split: Split
    drawn: Split
    miniature_of: int | None = None
    """Number of images in the parts of the whole study, if this is a miniature."""

    def rows(self, part: str) -> NDArray[np.int64]:
        """The part's rows in the index."""
        return self.drawn.rows[part]

    def patients(self, part: str) -> NDArray[np.int64]:
        """The part's patients, without duplicates."""
        return np.unique(self.index.patients[self.rows(part)])

    def sampling_weights(
        self, part: str, rows_N: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64] | None:
        """Number of images of the whole part that each of the part's images represents.

        For these N rows of the index, or for all of the part's. None if all weigh the same: the
        part was not drawn at a prevalence, or the whole was not recorded.
        """
        draw = self.drawn.draws.get(part)
        if draw is None:
            return None
        rows_N = self.rows(part) if rows_N is None else rows_N
        return draw.weights(self.index.table.labels_of(draw.finding)[rows_N])

    @property
    def label_table(self) -> str:
        """The label table's version and file, such as ``NIH v2020 (labels.csv)``."""
        if self.sources.each:
            return self.index.table.label_version
        return label_table_name(self.index.table.label_version, self.sources.labels)

    @property
    def share_of_table(self) -> float | None:
        """Share of the label table's images that were found; None if they were not looked for."""
        if self.index.missing_images is None:
            return None
        return len(self.index.images) / max(1, self.index.num_table_images)

    @property
    def patients_known_as(self) -> str:
        """What these patient numbers belong to: ``nih``, ``phantom``, or this data set's
        fingerprint."""
        if self.recipe.dataset.phantom or is_of_phantom(self.sources.labels):
            return "phantom"
        table = self.index.table
        if table.version.startswith("NIH") and table.kind == "nih":
            return "nih"
        return table.patients_of or self.index.fingerprint()

    def rows_used(self) -> NDArray[np.int64]:
        """Rows in the index of every part's images."""
        return np.concatenate([self.rows(part) for part in PARTS])

    def images_used(self) -> list[str]:
        """File names of every part's images."""
        return [str(name) for name in self.index.images[self.rows_used()]]

    def positives(self) -> dict[str, dict[str, int]]:
        """Part -> finding -> positive images."""
        return {
            part: {
                finding: int((self.index.labels_of_part(part)[self.rows(part), column] > 0.5).sum())
                for column, finding in enumerate(self.index.findings)
            }
            for part in PARTS
        }

    def audited(self) -> AuditReport:
        """The audit of the training data, without lesions; its warnings are also a run's."""
        return audit(self.recipe, self.sources, self.index, self.drawn, None, fingerprint=False)

    def description(self) -> dict[str, Any]:
        """The content of dataset.json."""
        return {
            "fingerprint": self.index.fingerprint(),
            "digests": self.index.digests(),
            "table_version": self.index.table.version,
            "kind": self.index.table.kind,
            "label_policy": policy_of(self.index),
            "label_table": self.label_table,
            "labels": str(self.sources.labels),
            "images_folder": None if self.sources.images is None else str(self.sources.images),
            "images": len(self.index.images),
            "patients": len(np.unique(self.index.patients)),
            "label_table_sha256": self.index.table.digest,
            "share_of_table": self.share_of_table,
            "missing_images": self.index.missing_images,
            "extra_images": self.index.extra_images,
            "counts": [vars(count) for count in self.index.counts],
            "parts": {
                part: {
                    "images": len(self.rows(part)),
                    "patients": len(self.patients(part)),
                    "findings": {
                        finding: _prevalence(
                            self.index.labels_of_part(part)[self.rows(part), column]
                        )
                        for column, finding in enumerate(self.index.findings)
                    },
                }
                for part in PARTS
            },
            RECORDED_AS: as_json(self.drawn.draws),
        }


def prepare_study(
    recipe: Recipe,
    cache: Path,
    *,
    labels_only: bool = False,
    recorded_split: Path | None = None,
    without_gone: bool = False,
    progress: StageProgress | None = None,
) -> Study:
    """From tables and images to index, split and subset.

    ``recorded_split`` is the split.csv of a resumed session; then nothing is drawn again, and
    dataset.json next to it describes the draw. With ``without_gone``, images that no longer exist
    are left out: looking back at a run can do without them, training can't. ``progress`` is called
    with (stage, done, total or None) a few times a second.

    Raises:
        RecipeError, DataError: see the stages; also a patient in two parts.
    """
    told = _sparingly(progress)

    def make_phantom(settings: PhantomSettings, folder: Path) -> Path:
        # Drawing imports the image library, which runs on real images never need here.
        from core.data.phantom import write_phantom

        write_phantom(
            folder,
            patients=settings.patients,
            size_px=settings.size_px,
            seed=settings.seed,
            progress=lambda done, total: told("drawing the synthetic set", done, total),
        )
        return folder

    sources = locate_sources(
        recipe, cache=cache, labels_only=labels_only, make_phantom=make_phantom
    )
    index = in_slices(
        lambda: build_index(recipe, sources, labels_only=True),
        lambda: told("reading the tables", 0, None),
    )
    if labels_only and recorded_split is not None:
        index = with_known_headers(index, sources, cache / "listings")
    if not labels_only:
        index = with_images(
            index,
            sources,
            partial=recipe.dataset.partial,
            listings=cache / "listings",
            progress=lambda done: told("looking for images", done, None),
        )

    def drawn() -> Study:
        if recorded_split is not None:
            kept = read_split(recorded_split, index, recipe, without_gone=without_gone)
            described = recorded_split.with_name("dataset.json")
            kept = _with_recorded_draws(kept, described, index, recipe)
            return Study(recipe, sources, index, kept, kept)
        refuse_unknown_patients(index.table, recipe.dataset.patient_from)
        split = make_split(index, recipe.split, sources)
        refuse_shared_patients(index, split)
        return Study(recipe, sources, index, split, draw_subset(index, split, recipe.subset))

    return in_slices(drawn, lambda: told("drawing the parts", 0, None))


def audit_study(recipe: Recipe, cache: Path, *, labels_only: bool = False) -> AuditReport:
    """What to know before training, as JSON; patients in two parts are counted rather than refused.

    Raises:
        RecipeError, DataError: see the stages.
    """
    sources = locate_sources(recipe, cache=cache, labels_only=labels_only)
    index = build_index(recipe, sources, listings=cache / "listings", labels_only=labels_only)
    try:
        split = make_split(index, recipe.split, sources, for_audit=True)
    except DataError as error:
        if index.table.kind in ("nih", "table"):
            raise
        split = undrawn(index, recipe.split, error)
    drawn = draw_subset(index, split, recipe.subset)
    return audit(recipe, sources, index, drawn, study_boxes(index, sources))


def write_split(path: Path, study: Study) -> None:
    """split.csv: Image Index, Patient ID, split, and of several data sets source; written
    completely or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    has_sources = bool(study.recipe.datasets)
    writer.writerow(["Image Index", "Patient ID", "split", *["source"] * has_sources])
    for part in PARTS:
        for row in study.rows(part):
            image, patient = str(study.index.images[row]), int(study.index.patients[row])
            source, _, key = image.partition("/") if has_sources else ("", "", image)
            writer.writerow([escape_formula(key), patient, part, *[source] * has_sources])
    write_whole(path, text.getvalue().encode())


def read_split(
    path: Path, index: StudyIndex, recipe: Recipe, *, without_gone: bool = False
) -> Split:
    """The split that a session recorded, for the same images.

    With ``without_gone``, images that no longer exist are left out and counted.

    Raises:
        DataError: the file is damaged, or names an image that no longer exists.
    """
    gone: list[str] = []
    row_of = {name: row for row, name in enumerate(index.images)}
    rows: dict[str, list[int]] = {part: [] for part in PARTS}
    for number, (name, part) in enumerate(_split_rows(path), start=2):
        if without_gone and name in index.absent and part in rows:
            gone.append(name)
            continue
        if name not in row_of or part not in rows:
            raise DataError(
                f"image {name[:200]!r} in part {part[:40]!r} is not in the data set",
                where=f"{path} line {number}",
                why="A session must continue with the images it started with.",
                remedy="Restore the image, or start a new session.",
            )
        rows[part].append(row_of[name])
    empty = [part for part, numbers in rows.items() if not numbers]
    if empty and not without_gone:
        raise DataError(
            f"names no image of {', '.join(empty)}",
            where=path,
            why="A session must continue with the parts it started with.",
            remedy="Restore the old file, or start a new session.",
        )
    arrays = {part: np.asarray(sorted(numbers), dtype=np.int64) for part, numbers in rows.items()}
    counts = (count_of("image of the split that no longer exists", gone),) if gone else ()
    split = Split(rows=arrays, by=recipe.split.by, seed=recipe.split.seed, counts=counts)
    refuse_shared_patients(index, split)
    return split


def _with_recorded_draws(
    split: Split, description: Path, index: StudyIndex, recipe: Recipe
) -> Split:
    """The split with the record of its draw; an older session only recorded that it was drawn."""
    finding, wanted = recipe.subset.finding, recipe.subset.prevalence
    draws = read_draws(description)
    if draws is None and finding is not None and wanted is not None:
        labels_N = index.table.labels_of(finding)
        draws = {
            part: PartDraw(
                finding=finding,
                is_drawn=part in recipe.subset.parts,
                prevalence=prevalence_of(labels_N[rows]),
            )
            for part, rows in split.rows.items()
        }
    return replace(split, draws=draws or {})


def _split_rows(path: Path) -> list[tuple[str, str]]:
    """Image and part of each row; '' if the row has none."""
    text = table_bytes(path).decode("utf-8", "replace")
    try:
        entries = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise DataError(
            f"can't be read as CSV ({error})",
            where=path,
            remedy="Restore the old file, or start a new session.",
        ) from error

    def name_of(entry: Mapping[str, Any]) -> str:
        key = original(entry.get("Image Index") or "")
        return f"{entry['source']}/{key}" if entry.get("source") else key

    return [(name_of(entry), entry.get("split") or "") for entry in entries]


def miniature(study: Study, images_per_part: int) -> Study:
    """The same study with a few images of each part, including positives of many findings."""
    rows = {part: _varied(study, part, images_per_part) for part in PARTS}
    whole = len(study.rows_used())
    return replace(study, drawn=replace(study.drawn, rows=rows), miniature_of=whole)


def _sparingly(progress: StageProgress | None) -> StageProgress:
    """The callback, called at most twice a second; a no-op if it is None."""
    last = time.monotonic()

    def tell(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        if progress is not None and time.monotonic() - last >= _PROGRESS_SECONDS:
            last = time.monotonic()
            progress(stage, done, total)

    return tell


def _varied(study: Study, part: str, num_images: int) -> NDArray[np.int64]:
    rows = study.index.rows_by_name(study.rows(part))
    order = np.random.default_rng(0).permutation(len(rows))
    positive = np.nansum(study.index.labels_NF[rows[order]], axis=1) > 0
    half = num_images // 2
    chosen = [*order[positive][:half], *order[~positive][: num_images - half]]
    return np.sort(rows[np.asarray(chosen, dtype=np.int64)])


def _prevalence(labels_N: NDArray[np.float32]) -> Mapping[str, Any]:
    known = int((~np.isnan(labels_N)).sum())
    positives = int((labels_N > 0.5).sum())  # smooth labels lie between 0 and 1
    share = positives / known if known else None
    return {"positives": positives, "known": known, "prevalence": share}
