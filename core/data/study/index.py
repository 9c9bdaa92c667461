"""The label table joined with the images that are there: what a run can work with."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.images.image_files import FoundImages, ImageFile, find_images, images_fingerprint
from core.data.study.sources import DataSources
from core.data.tables.label_table import LabelTable, read_label_table
from core.data.tables.label_version import OTHER
from core.data.tables.text_file import Count, count_of, table_bytes
from core.errors import DataError, RecipeError
from core.findings import ABSENT
from core.recipe import Recipe

_PER_IMAGE = (
    *("images", "patients", "labels_NF", "table_labels_NA"),
    *("follow_up", "age_years", "view", "sex"),
)


def distinct(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct values, ascending.

    ``np.unique`` hashes whole numbers unless it is asked for their counts; sorting 112,120 of
    them is ten times as fast.
    """
    return np.unique(numbers, return_counts=True)[0]


@dataclass(frozen=True, eq=False)
class StudyIndex:
    """N images with their labels, patients and files.

    Attributes:
        images: N file names (NIH's Image Index).
        patients: N patient numbers, int64.
        findings: the F findings of the recipe.
        labels_NF: float32; 1 present, 0 absent, NaN unknown.
        table_findings: the A findings that the table knows; splits are stratified by all of
            them, so that a recipe with fewer findings has the same patients in its parts.
        table_labels_NA: the same for those.
        follow_up: N follow-up numbers, -1 unknown; None where the table has none.
        age_years: N ages, NaN missing; None where the table has none.
        view: N of ``PA``, ``AP`` or ''; None where the table has none.
        sex: N of ``M``, ``F`` or ''; None where the table has none.
        patient_names: the table's own text for patients that are not numbers there.
        table_version: how it is written: ``NIH v2020``, ``NIH 2017`` or ``plain CSV``.
        label_version: whose labels it holds; see ``core.data.tables.label_version``.
        files: name -> file; empty where only labels were asked for.
        counts: what was repaired, dropped or missing, each with its reason.
        num_table_images: images that the table names.
        absent: names in the table whose image is not there.
        missing_images, extra_images: how many; None where only labels were asked for.
        table_digests: SHA-256 of each table and list by its role (``labels``, ``boxes``, …).
    """

    images: npt.NDArray[np.object_]
    patients: npt.NDArray[np.int64]
    findings: tuple[str, ...]
    labels_NF: npt.NDArray[np.float32]
    table_findings: tuple[str, ...]
    table_labels_NA: npt.NDArray[np.float32]
    follow_up: npt.NDArray[np.int64] | None
    age_years: npt.NDArray[np.float64] | None
    view: npt.NDArray[np.object_] | None
    sex: npt.NDArray[np.object_] | None
    patient_names: Mapping[int, str]
    table_version: str
    files: Mapping[str, ImageFile]
    counts: tuple[Count, ...]
    num_table_images: int
    absent: frozenset[str]
    missing_images: int | None
    extra_images: int | None
    table_digests: Mapping[str, str]
    label_version: str = OTHER

    @property
    def table_digest(self) -> str:
        """SHA-256 of the label table."""
        return self.table_digests["labels"]

    @cached_property
    def without_finding(self) -> npt.NDArray[np.bool_]:
        """Whether each finding of the table is known to be absent, for N images."""
        return np.asarray((self.table_labels_NA == ABSENT).all(axis=1))

    @cached_property
    def place_by_name(self) -> npt.NDArray[np.int64]:
        """Each image's place among all names in order, for draws that the rows' order is no
        part of."""
        place_N = np.empty(len(self.images), dtype=np.int64)
        place_N[np.argsort(self.images, kind="stable")] = np.arange(len(self.images))
        return place_N

    def rows_by_name(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """These rows in the order of their images' names."""
        ordered: npt.NDArray[np.int64] = rows[np.argsort(self.place_by_name[rows])]
        return ordered

    @cached_property
    def num_patients(self) -> int:
        """How many patients the images belong to."""
        return len(distinct(self.patients))

    def labels_of(self, finding: str) -> npt.NDArray[np.float32]:
        """N labels of any finding that the table knows, in the recipe or not.

        Raises:
            DataError: the table doesn't know it.
        """
        if finding not in self.table_findings:
            raise DataError(
                f"the label table says nothing of {finding}",
                remedy=f"It knows {', '.join(self.table_findings)}.",
            )
        labels_N: npt.NDArray[np.float32] = self.table_labels_NA[
            :, self.table_findings.index(finding)
        ]
        return labels_N

    def patient_text(self, patient: int) -> str:
        """A patient as the table calls them."""
        return self.patient_names.get(int(patient), str(patient))

    def fingerprint(self) -> str:
        """What the data set is, wherever it lies: digests of tables, names and sizes of images."""
        *tables, (_, images) = self.digests().items()
        text = "".join(f"{role} {table}\n" for role, table in tables) + images
        return hashlib.sha256(text.encode()).hexdigest()

    def digests(self) -> dict[str, str]:
        """What the fingerprint is made of: each table's digest by its role, and the images'."""
        return dict(sorted(self.table_digests.items())) | {"images": images_fingerprint(self.files)}

    def take(self, rows: npt.NDArray[np.int64]) -> StudyIndex:
        """The index of some of the images, in the order of ``rows``."""
        changes: dict[str, Any] = {
            field: values[rows]
            for field in _PER_IMAGE
            if (values := getattr(self, field)) is not None
        }
        files = {name: self.files[name] for name in changes["images"] if name in self.files}
        return dataclasses.replace(self, **changes, files=files)


def build_index(
    recipe: Recipe,
    sources: DataSources,
    *,
    listings: Path | None = None,
    labels_only: bool = False,
    every_finding: bool = False,
    progress: Callable[[int], None] | None = None,
) -> StudyIndex:
    """Reads the label table and finds its images.

    Args:
        recipe: the findings, and whether a part of the images is enough (``dataset.partial``).
        sources: see ``core.data.study.sources``.
        listings: folder that keeps what was found in archives.
        labels_only: look for no image, and treat each as found.
        every_finding: take all findings that the table knows in place of the recipe's.
        progress: told how many images were found so far.

    Raises:
        DataError: see ``read_label_table`` and ``find_images``; besides, missing images where
            ``dataset.partial`` is false.
    """
    wanted = () if every_finding else recipe.dataset.findings
    table = read_label_table(sources.labels, wanted)
    index = _index_of_table(recipe, sources, table, wanted or table.findings)
    if labels_only:
        return index
    return with_images(
        index, sources, partial=recipe.dataset.partial, listings=listings, progress=progress
    )


def with_images(
    index: StudyIndex,
    sources: DataSources,
    *,
    partial: bool,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> StudyIndex:
    """A labels-only index joined with the images that are there.

    Args:
        index: of the whole label table.
        sources: names the folder of images.
        partial: a part of the images is enough.
        listings: folder that keeps what was found in archives.
        progress: told how many images were found so far.

    Raises:
        RecipeError: no folder of images is named.
        DataError: see ``find_images``; besides, missing images where ``partial`` is false.
    """
    if sources.images is None:
        raise RecipeError("no folder of images is named", where="dataset.images")
    found = find_images(
        sources.images, frozenset(index.images), listings=listings, progress=progress
    )
    return _joined(index, found, sources.images, partial=partial)


def with_findings(index: StudyIndex, findings: Sequence[str]) -> StudyIndex:
    """The same images with the labels of other findings of the table, in this order.

    Raises:
        DataError: the table doesn't know one of them.
    """
    if tuple(findings) == index.findings:
        return index
    labels_NF = np.column_stack([index.labels_of(finding) for finding in findings])
    return dataclasses.replace(index, findings=tuple(findings), labels_NF=labels_NF)


def _index_of_table(
    recipe: Recipe, sources: DataSources, table: LabelTable, findings: tuple[str, ...]
) -> StudyIndex:
    columns = [table.findings.index(finding) for finding in findings]
    return StudyIndex(
        images=table.images_N,
        patients=table.patients_N,
        findings=findings,
        labels_NF=table.labels_NA[:, columns],
        table_findings=table.findings,
        table_labels_NA=table.labels_NA,
        follow_up=table.follow_up_N,
        age_years=table.age_years_N,
        view=table.view_N,
        sex=table.sex_N,
        patient_names=table.patient_names,
        table_version=table.version,
        label_version=table.label_version,
        files={},
        counts=table.counts,
        num_table_images=len(table.images_N),
        absent=frozenset(),
        missing_images=None,
        extra_images=None,
        table_digests={"labels": table.digest} | _digests(recipe, sources),
    )


def _digests(recipe: Recipe, sources: DataSources) -> dict[str, str]:
    """Digests of the other tables that decide what the run computes."""
    paths = {"boxes": sources.boxes}
    if recipe.split.by != "patient":
        paths |= {
            "train_val_list": sources.train_val_list,
            "test_list": sources.test_list,
            "val_list": sources.val_list,
        }
    digests = {}
    for role, path in paths.items():
        if path is not None:
            digests[role] = hashlib.sha256(table_bytes(path)).hexdigest()
    return digests


def _joined(index: StudyIndex, found: FoundImages, root: Path, *, partial: bool) -> StudyIndex:
    """The index of the images that were found."""
    is_there_N = np.fromiter((name in found.files for name in index.images), bool)
    absent = index.images[~is_there_N]
    counts = list(index.counts)
    if len(absent):
        if not partial:
            raise _images_missing(absent, found, root)
        counts.append(count_of("in the table, but no such image found", absent))
    if found.extra:
        reason = "image that the table does not name, ignored"
        counts.append(Count(reason, found.extra, found.extra_examples))
    if found.shadowed:
        counts.append(Count("image found more than once, the first one taken", found.shadowed))
    whole = dataclasses.replace(
        index,
        files=found.files,
        counts=tuple(counts),
        absent=frozenset(absent),
        missing_images=len(absent),
        extra_images=found.extra,
    )
    return whole.take(np.flatnonzero(is_there_N)) if len(absent) else whole


_FOLDERS_SHOWN = 14


def _images_missing(absent: npt.NDArray[np.object_], found: FoundImages, root: Path) -> DataError:
    folders = sorted(found.folders.items())
    shown = ", ".join(f"{folder} {count:,}" for folder, count in folders[:_FOLDERS_SHOWN])
    more = f" and {len(folders) - _FOLDERS_SHOWN} more" if len(folders) > _FOLDERS_SHOWN else ""
    total = len(absent) + len(found.files)
    return DataError(
        f"{len(absent):,} of the table's {total:,} images are missing, such as "
        f"{', '.join(absent[:3])}. Found {len(found.files):,}: {shown}{more}",
        where=root,
        why="A result on part of the images is not a result on NIH, so it has to be asked for",
        remedy="Fetch the rest, or train on what is there with --set dataset.partial=true.",
    )
