"""Which images train, which choose the best epoch, which give the test figures.

Parts are drawn by patient: two images of one patient never stand in different parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.study.index import StudyIndex, distinct
from core.data.study.part_draw import PartDraw
from core.data.study.sources import DataSources
from core.data.study.stratify import deal_patients
from core.data.tables.image_lists import ImageList, read_image_list
from core.data.tables.text_file import Count, count_of
from core.errors import DataError, RecipeError
from core.findings import PRESENT
from core.recipe import SplitSettings

PARTS = ("train", "val", "test")
_PATIENTS_NAMED = 5

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ListedRows:
    """Rows of an index that the lists name; ``val`` is None where it is to be drawn."""

    train_val: Rows
    test: Rows
    val: Rows | None
    counts: tuple[Count, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of an index for ``train``, ``val`` and ``test``, each in ascending order.

    ``by`` and ``seed`` say how it was drawn, ``counts`` what was left out and why,
    ``warnings`` what its user should know. ``draws`` says of each part what a subset that sets a
    prevalence made of it; it is empty where none does.
    """

    rows: Mapping[str, Rows]
    by: str
    seed: int
    counts: tuple[Count, ...] = ()
    warnings: tuple[str, ...] = ()
    draws: Mapping[str, PartDraw] = field(default_factory=dict)

    @property
    def num_images(self) -> int:
        """Images in all parts together."""
        return sum(len(rows) for rows in self.rows.values())


def make_split(
    index: StudyIndex,
    settings: SplitSettings,
    sources: DataSources,
    *,
    listed: ListedRows | None = None,
) -> Split:
    """Draws the parts over the patients of the images in the index.

    - ``official`` and ``lists``: train_val and test come from two lists. Val is the images of
      ``val_list``, or a stratified draw of ``settings.val`` of train_val's patients.
    - ``patient``: a stratified draw over all patients, after the shares.

    The draw depends on the patients, their numbers of images and their findings, and on the
    seed; neither on the order of the table's rows nor on the recipe's choice of findings.

    Lists may put one patient in two parts: see ``refuse_shared_patients``.

    Args:
        index: the images.
        settings: how to draw.
        sources: names the lists.
        listed: what ``read_lists`` said of them, where they were read before.

    Raises:
        RecipeError: a list is neither named nor found.
        DataError: see ``read_image_list``; besides, a list's name that is not in the label
            table, or a part without an image.
    """
    rng = np.random.default_rng(settings.seed)
    if settings.by == "patient":
        every_row = np.arange(len(index.images), dtype=np.int64)
        shares = (settings.train, settings.val, settings.test)
        drawn = _drawn_by_patient(index, every_row, shares, rng)
        split = Split(dict(zip(PARTS, drawn, strict=True)), settings.by, settings.seed)
    else:
        split = _split_by_lists(index, settings, listed or read_lists(index, sources), rng)
    _refuse_empty_parts(split)
    return split


def read_lists(index: StudyIndex, sources: DataSources) -> ListedRows:
    """Reads the lists of a data set: 112,120 names take longer than any draw after them.

    Raises:
        RecipeError: a list is neither named nor found.
        DataError: see ``read_image_list``; besides, a name that is not in the label table.
    """
    row_of = {name: row for row, name in enumerate(index.images)}
    counts: list[Count] = []

    def rows_of(path: Path) -> Rows:
        names = read_image_list(path, row_of)
        counts.extend(names.counts)
        return _listed_rows(names, row_of, index)

    train_val = rows_of(_needed(sources.train_val_list, "split.train_val_list"))
    test = rows_of(_needed(sources.test_list, "split.test_list"))
    val = None if sources.val_list is None else rows_of(sources.val_list)
    return ListedRows(train_val, test, val, tuple(counts))


def _split_by_lists(
    index: StudyIndex, settings: SplitSettings, listed: ListedRows, rng: np.random.Generator
) -> Split:
    if listed.val is None:
        shares = (1 - settings.val, settings.val)
        train, val = _drawn_by_patient(index, listed.train_val, shares, rng)
    else:
        val = listed.val
        train = np.setdiff1d(listed.train_val, val, assume_unique=True)
    counts = list(listed.counts)
    listed_N = np.zeros(len(index.images), dtype=bool)
    for rows in (train, val, listed.test):
        listed_N[rows] = True
    if not listed_N.all():
        reason = "image that no list names, in no part"
        counts.append(count_of(reason, index.images[~listed_N]))
    rows_by_part = {"train": train, "val": val, "test": listed.test}
    return Split(rows_by_part, settings.by, settings.seed, tuple(counts))


def _needed(path: Path | None, key: str) -> Path:
    if path is None:
        raise RecipeError(
            "no such list is named, and none with NIH's name was found",
            where=key,
            remedy=f"Name it with --set {key}=FILE, or draw with --set split.by=patient.",
        )
    return path


def _listed_rows(names: ImageList, row_of: Mapping[str, int], index: StudyIndex) -> Rows:
    """Rows of a list's images; images of the table that are not there are passed over."""
    found = [row for row in map(row_of.get, names.line_of) if row is not None]
    if len(found) < len(names.line_of):
        names.refuse_unknown(row_of.keys() | index.absent)
    return np.sort(np.array(found, dtype=np.int64))


def _drawn_by_patient(
    index: StudyIndex, rows: Rows, shares: tuple[float, ...], rng: np.random.Generator
) -> list[Rows]:
    """These rows dealt out by patient, stratified by all findings of the table."""
    patients, patient_R = np.unique(index.patients[rows], return_inverse=True)
    if len(patients) < len(shares):
        raise DataError(
            f"{len(patients)} patient{'s' if len(patients) > 1 else ''} can't fill "
            f"{len(shares)} parts",
            why="Each part needs a patient of its own",
            remedy="Use more images, or give lists with split.by=lists.",
        )
    images_P = np.bincount(patient_R, minlength=len(patients))
    positive_RA = index.table_labels_NA[rows] == PRESENT
    positive_images_PA = np.column_stack(
        [
            np.bincount(patient_R[positive_R], minlength=len(patients))
            for positive_R in positive_RA.T
        ]
    )
    part_P = deal_patients(positive_images_PA, images_P, shares, rng)
    part_R = part_P[patient_R]
    return [rows[part_R == part] for part in range(len(shares))]


def _refuse_empty_parts(split: Split) -> None:
    empty = [part for part in PARTS if not len(split.rows[part])]
    if empty:
        sizes = ", ".join(f"{part} {len(split.rows[part]):,}" for part in PARTS)
        raise DataError(
            f"no image in {' and '.join(empty)} ({sizes})",
            where=f"split.by = {split.by!r}",
            why="Without val no best epoch can be chosen, without test no figure given",
            remedy="Use more images, or draw the parts over what is there with "
            "--set split.by=patient.",
        )


def shared_patients(index: StudyIndex, split: Split) -> dict[int, tuple[str, ...]]:
    """Patients that stand in more than one part, and in which; ascending."""
    of_part = {part: distinct(index.patients[rows]) for part, rows in split.rows.items()}
    numbers, parts_of = np.unique(np.concatenate(list(of_part.values())), return_counts=True)
    return {
        int(patient): tuple(part for part in of_part if patient in of_part[part])
        for patient in numbers[parts_of > 1]
    }


def refuse_shared_patients(index: StudyIndex, split: Split) -> None:
    """Raises DataError, with the patients named, where one stands in two parts."""
    shared = shared_patients(index, split)
    if not shared:
        return
    named = ", ".join(
        f"{index.patient_text(patient)} ({' and '.join(parts)})"
        for patient, parts in list(shared.items())[:_PATIENTS_NAMED]
    )
    more = f" and {len(shared) - _PATIENTS_NAMED:,} more" if len(shared) > _PATIENTS_NAMED else ""
    subject = "1 patient stands" if len(shared) == 1 else f"{len(shared):,} patients stand"
    raise DataError(
        f"{subject} in more than one part: {named}{more}",
        where=f"split.by = {split.by!r}",
        why="A network knows patients it has trained on, and the test figures would flatter it",
        remedy="Correct the lists, or draw by patient with --set split.by=patient.",
    )
