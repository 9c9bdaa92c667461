"""The label table joined with the images that were found."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.collections.reading import TableReading, read_labels
from core.data.images.image_file import ImageFile
from core.data.images.image_files import FoundImages, ask_statuses, find_images, images_fingerprint
from core.data.study.headers import with_headers
from core.data.study.sources import DataSources
from core.data.study.together import table_of
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_columns import LabelTable
from core.data.tables.label_table import refuse_unknown_patients
from core.data.tables.text_file import Count, count_of, table_bytes
from core.errors import DataError, RecipeError
from core.findings import ABSENT
from core.recipe import Recipe


def distinct(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct values, ascending.

    ``np.unique`` hashes integers unless counts are requested; sorting 112,120 of them is ten times
    as fast.
    """
    return np.unique(numbers, return_counts=True)[0]


@dataclass(frozen=True, eq=False)
class StudyIndex:
    """N images with their labels, patients and files.

    Attributes:
        table: the label table's rows of these images, with all its findings: splits are stratified
            by all of them, so that a recipe with fewer findings has the same patients in its parts.
        findings: the F findings of the recipe.
        files: name -> file; empty if only labels were requested.
        counts: what was repaired, dropped or missing, each with its reason.
        absent: names in the table without an image.
        missing_images, extra_images: their numbers; None if only labels were requested.
        each: the tables of several data sets by their names; empty if there is one.
        other_digests: SHA-256 of the other tables and lists by their role (``boxes``, …).
    """

    table: LabelTable
    findings: tuple[str, ...]
    files: Mapping[str, ImageFile] = field(default_factory=dict)
    counts: tuple[Count, ...] = ()
    absent: frozenset[str] = frozenset()
    missing_images: int | None = None
    extra_images: int | None = None
    other_digests: Mapping[str, str] = field(default_factory=dict)
    each: Mapping[str, LabelTable] = field(default_factory=dict)

    @property
    def images(self) -> npt.NDArray[np.object_]:
        """N file names."""
        return self.table.images_N

    @property
    def patients(self) -> npt.NDArray[np.int64]:
        """N patient numbers."""
        return self.table.patients_N

    @cached_property
    def labels_NF(self) -> npt.NDArray[np.float32]:  # noqa: N802 - it ends in its axes
        """1 present, 0 absent, NaN unknown."""
        labels_NF: npt.NDArray[np.float32] = self.table.labels_NA[:, self._places]
        return labels_NF

    @property
    def train_labels_NF(self) -> npt.NDArray[np.float32]:  # noqa: N802 - it ends in its axes
        """What train learns: uncertain labels are decided by the policy, some to values between
        0 and 1."""
        labels_NF: npt.NDArray[np.float32] = self.table.training_labels_NA[:, self._places]
        return labels_NF

    def labels_of_part(self, part: str) -> npt.NDArray[np.float32]:
        """N images × F findings: what train learns, or what the other parts are scored against."""
        return self.train_labels_NF if part == "train" else self.labels_NF

    @property
    def _places(self) -> list[int]:
        return [self.table.findings.index(finding) for finding in self.findings]

    @property
    def num_table_images(self) -> int:
        """Images that the table names."""
        return len(self.images) + len(self.absent)

    @cached_property
    def without_finding(self) -> npt.NDArray[np.bool_]:
        """Whether each finding of the table is known to be absent, for N images."""
        return np.asarray((self.table.labels_NA == ABSENT).all(axis=1))

    @cached_property
    def place_by_name(self) -> npt.NDArray[np.int64]:
        """Each image's rank by name, for draws that must not depend on the order of rows."""
        place_N = np.empty(len(self.images), dtype=np.int64)
        place_N[np.argsort(self.images, kind="stable")] = np.arange(len(self.images))
        return place_N

    def rows_by_name(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """These rows in the order of their images' names."""
        ordered: npt.NDArray[np.int64] = rows[np.argsort(self.place_by_name[rows])]
        return ordered

    @cached_property
    def num_patients(self) -> int:
        """Number of patients."""
        return len(distinct(self.patients))

    def fingerprint(self) -> str:
        """Identity of the data set, wherever it is stored: digests of tables, image names and
        sizes."""
        *tables, (_, images) = self.digests().items()
        text = "".join(f"{role} {table}\n" for role, table in tables) + images
        return hashlib.sha256(text.encode()).hexdigest()

    def digests(self) -> dict[str, str]:
        """What the fingerprint is made of: each table's digest by its role, and the images'."""
        tables = {"labels": self.table.digest, **self.other_digests}
        return dict(sorted(tables.items())) | {"images": images_fingerprint(self.files)}

    def take(self, rows: npt.NDArray[np.int64]) -> StudyIndex:
        """The index of some of the images, in the order of ``rows``."""
        table = self.table.take(rows)
        files = {name: self.files[name] for name in table.images_N if name in self.files}
        return dataclasses.replace(self, table=table, files=files)


def build_index(
    recipe: Recipe,
    sources: DataSources,
    *,
    listings: Path | None = None,
    labels_only: bool = False,
    every_finding: bool = False,
    progress: Callable[[int], None] | None = None,
) -> StudyIndex:
    """Read the label table and find its images.

    Args:
        recipe: the findings, and whether some of the images are enough (``dataset.partial``).
        sources: see ``core.data.study.sources``.
        listings: folder for the listings of archives.
        labels_only: look for no image, and treat each as found.
        every_finding: use all findings of the table instead of the recipe's.
        progress: called with the number of images found so far.

    Raises:
        DataError: see ``read_labels`` and ``find_images``; also missing images if
            ``dataset.partial`` is false.
    """
    wanted = () if every_finding else recipe.dataset.findings
    if recipe.datasets:
        index = _together(recipe, sources, wanted)
    else:
        reading = TableReading(recipe.dataset, recipe.labels)
        table = read_labels(sources.labels, wanted, reading, with_others=sources.labels_found)
        others = {**_digests(recipe, sources), **table.other_digests}
        index = StudyIndex(
            table, wanted or table.findings, counts=table.counts, other_digests=others
        )
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
    """A labels-only index joined with the images that were found.

    Args:
        index: of the whole label table.
        sources: names the folder of images.
        partial: some of the images are enough.
        listings: folder for the listings of archives.
        progress: called with the number of images found so far.

    Raises:
        RecipeError: no folder of images is named.
        DataError: see ``find_images``; also missing images if ``partial`` is false.
    """
    if sources.each:
        return _each_with_images(index, sources, partial, listings, progress)
    if sources.images is None:
        raise RecipeError("no folder of images is named", where="dataset.images")
    found = find_images(
        sources.images,
        frozenset(index.images),
        files=index.table.files,
        listings=listings,
        progress=progress,
    )
    ask_statuses(found.files.values(), progress)
    joined = _joined(index, found, sources.images, partial=partial)
    table, rows = with_headers(joined.table, joined.files, listings, progress)
    if table is joined.table:
        return joined
    counts = (*joined.counts, *table.counts[len(joined.table.counts) :])
    said = dataclasses.replace(joined, table=table, counts=counts)
    return said if len(rows) == len(table.images_N) else said.take(rows)


def with_known_headers(index: StudyIndex, listings: Path) -> StudyIndex:
    """A labels-only index with what an earlier run read from its images' headers."""
    table, _ = with_headers(index.table, {}, listings)
    return dataclasses.replace(index, table=table)


def _together(recipe: Recipe, sources: DataSources, wanted: Sequence[str]) -> StudyIndex:
    """The index of several data sets, each with its own tables and policy."""
    tables: dict[str, LabelTable] = {}
    others: dict[str, str] = {}
    for name, own in recipe.sources:
        at = sources.each[name]
        reading = TableReading(own.dataset, own.labels)
        has = own.dataset.findings if "findings" in own.dataset.model_fields_set else ()
        table = read_labels(at.labels, has, reading, with_others=at.labels_found)
        if own.dataset.patient_from == "dicom":
            raise RecipeError(
                "patients are read from DICOM headers of a single data set only",
                where=f"datasets ({name}).patient_from",
                remedy="Add a column of patients to its table, or train on it alone.",
            )
        refuse_unknown_patients(table, own.dataset.patient_from)
        if own.split.by != "patient" and table.official_N is None and at.train_val_list:
            table = dataclasses.replace(table, official_N=official_of_lists(table, at))
        tables[name] = table
        others |= {f"{name}-{role}": digest for role, digest in _digests(own, at).items()}
    table = table_of(tables, wanted)
    index = StudyIndex(
        table,
        tuple(wanted) or table.findings,
        counts=table.counts,
        other_digests=others | dict(table.other_digests),
    )
    return dataclasses.replace(index, each=tables)


def official_of_lists(table: LabelTable, sources: DataSources) -> npt.NDArray[np.object_]:
    """``train``, ``test`` or '' of each image, from a data set's two lists."""
    official_N = np.full(len(table.images_N), "", dtype=object)
    row_of = {name: row for row, name in enumerate(table.images_N)}
    for part, path in (("train", sources.train_val_list), ("test", sources.test_list)):
        if path is not None:
            listed = read_image_list(path, row_of).line_of
            official_N[[row_of[name] for name in listed if name in row_of]] = part
    return official_N


def _each_with_images(
    index: StudyIndex,
    sources: DataSources,
    partial: bool,
    listings: Path | None,
    progress: Callable[[int], None] | None,
) -> StudyIndex:
    """The index of several data sets, joined with the images found in each one's folder."""
    found_of: dict[str, FoundImages] = {}
    for name, at in sources.each.items():
        if at.images is None:
            raise RecipeError("no folder of images is named", where=f"datasets ({name})")
        table = index.each[name]
        found_of[name] = find_images(
            at.images,
            frozenset(table.images_N),
            files=table.files,
            listings=listings,
            progress=progress,
        )
        ask_statuses(found_of[name].files.values(), progress)
    files = {
        f"{name}/{key}": dataclasses.replace(file, name=f"{name}/{key}")
        for name, found in found_of.items()
        for key, file in found.files.items()
    }
    several = list(found_of.values())
    together = FoundImages(
        files=dict(sorted(files.items())),
        extra=sum(found.extra for found in several),
        extra_examples=several[0].extra_examples,
        shadowed=sum(found.shadowed for found in several),
        folders={
            f"{name}: {folder}": count
            for name, found in found_of.items()
            for folder, count in found.folders.items()
        },
    )
    return _joined(
        index, together, next(iter(sources.each.values())).images or Path(), partial=partial
    )


def with_findings(index: StudyIndex, findings: Sequence[str]) -> StudyIndex:
    """The same images with the labels of other findings of the table, in this order.

    Raises:
        DataError: the table lacks one of them.
    """
    if tuple(findings) == index.findings:
        return index
    for finding in findings:
        index.table.labels_of(finding)
    return dataclasses.replace(index, findings=tuple(findings))


def _digests(recipe: Recipe, sources: DataSources) -> dict[str, str]:
    """Digests of the other tables that determine what the run computes."""
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
        counts.append(count_of("in the table, but not found", absent))
    if found.extra:
        reason = "image that the table does not name, ignored"
        counts.append(Count(reason, found.extra, found.extra_examples))
    if found.shadowed:
        counts.append(Count("image found more than once, the first one used", found.shadowed))
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
        why="A result on some of the images is not one on all of them, so it must be requested",
        remedy="Fetch the rest, or train on those found with --set dataset.partial=true.",
    )
