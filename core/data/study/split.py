"""Which images train, which select the best epoch, which give the test figures.

Parts are drawn by patient: two images of one patient are never in different parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.study.part_draw import PartDraw
from core.data.study.sources import DataSources
from core.data.study.stratify import deal_patients
from core.data.study.study_index import StudyIndex, distinct
from core.data.study.together import of_source
from core.data.tables.image_lists import ImageList, read_image_list
from core.data.tables.text_file import Count, count_of
from core.errors import DataError, RecipeError
from core.findings import PRESENT
from core.recipe import PARTS, SplitSettings

_PATIENTS_NAMED = 5
_SHARES_WITHOUT_OFFICIAL = (0.7, 0.1, 0.2)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ListedRows:
    """Rows of an index in the lists; ``val`` is None if it is to be drawn."""

    train_val: Rows
    test: Rows
    val: Rows | None
    counts: tuple[Count, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of an index for ``train``, ``val`` and ``test``, each in ascending order.

    ``by`` and ``seed`` say how it was drawn, ``counts`` what was left out and why, ``warnings``
    what users should know. ``draws`` describes the draw of each part by a subset that sets a
    prevalence; empty otherwise.
    """

    rows: Mapping[str, Rows]
    by: str
    seed: int
    counts: tuple[Count, ...] = ()
    warnings: tuple[str, ...] = ()
    draws: Mapping[str, PartDraw] = field(default_factory=dict)

    @property
    def num_images(self) -> int:
        """Total number of images in all parts."""
        return sum(len(rows) for rows in self.rows.values())


def make_split(
    index: StudyIndex,
    settings: SplitSettings,
    sources: DataSources,
    *,
    listed: ListedRows | None = None,
    for_audit: bool = False,
) -> Split:
    """Draw the parts over the patients of the images in the index.

    - ``official`` of a collection whose tables say it: theirs. Without a table of its test part,
      its validation part gives the test figures, and val is drawn from train's patients.
    - ``official`` and ``lists``: train_val and test come from two lists. Val is the images of
      ``val_list``, or a stratified draw of ``settings.val`` of train_val's patients.
    - ``patient``: a stratified draw over all patients, according to the shares.

    The draw depends on the patients, their numbers of images and their findings, and on the seed,
    but not on the order of the table's rows or the recipe's choice of findings.

    Lists may put one patient in two parts: see ``refuse_shared_patients``.

    Args:
        index: the images.
        settings: how to draw.
        sources: names the lists.
        listed: result of ``read_lists``, if they were read before.
        for_audit: nothing is trained or scored: tables with only some of the official parts are
            then drawn by patient, which is said.

    Raises:
        RecipeError: a list is neither named nor found.
        DataError: the tables lack an official part; see ``read_image_list``; also a listed name
            that is not in the label table, or a part without an image.
    """
    rng = np.random.default_rng(settings.seed)
    if settings.by == "patient":
        every_row = np.arange(len(index.images), dtype=np.int64)
        shares = (settings.train, settings.val, settings.test)
        drawn = _drawn_by_patient(index, every_row, shares, rng)
        split = Split(dict(zip(PARTS, drawn, strict=True)), settings.by, settings.seed)
    elif settings.by == "official" and index.each:
        split = _official_of_each(index, settings, rng, for_audit=for_audit)
    elif settings.by == "official" and index.table.kind not in ("nih", "table"):
        split = _collections_own(index, settings, rng, for_audit=for_audit)
    else:
        split = _split_by_lists(index, settings, listed or read_lists(index, sources), rng)
    _refuse_empty_parts(split)
    return split


def _official_of_each(
    index: StudyIndex, settings: SplitSettings, rng: np.random.Generator, *, for_audit: bool
) -> Split:
    """Each data set's own parts, side by side."""
    rows: dict[str, list[Rows]] = {part: [] for part in PARTS}
    counts: list[Count] = []
    warnings: list[str] = []
    for name, own in index.each.items():
        rows_S = np.flatnonzero(index.table.source_N == name)
        there = replace(index, table=of_source(index.table, name, own))
        split = _collections_own(there, settings, rng, for_audit=for_audit)
        for part in PARTS:
            rows[part].append(rows_S[split.rows[part]])
        counts += split.counts
        warnings += split.warnings
    return Split(
        {part: np.sort(np.concatenate(several)) for part, several in rows.items()},
        settings.by,
        settings.seed,
        tuple(counts),
        tuple(warnings),
    )


def _collections_own(
    index: StudyIndex, settings: SplitSettings, rng: np.random.Generator, *, for_audit: bool
) -> Split:
    """The collection's own parts; val is drawn from train if the collection has none to spare."""
    official_N = index.table.official_N
    names = set() if official_N is None else set(official_N.tolist())
    test = next((name for name in ("test", "valid") if name in names), None)
    if official_N is None or test is None or "train" not in names:
        return _without_official(index, settings, rng, names, for_audit=for_audit)
    rows = {name: np.flatnonzero(official_N == name) for name in names}
    val_name = next((name for name in ("val", "valid") if name in names and name != test), None)
    if val_name is None:
        shares = (1 - settings.val, settings.val)
        train, val = _drawn_by_patient(index, rows["train"], shares, rng)
    else:
        train, val = rows["train"], rows[val_name]
    counts = []
    if "" in names:
        outside = index.images[official_N == ""]
        counts.append(count_of("image outside the official parts", outside))
    warnings = []
    if test == "valid":
        warnings.append(
            f"{index.table.version}'s official validation part gives the test figures, since its "
            "test table is not there; val is drawn from train's patients."
        )
    parts = {"train": train, "val": val, "test": rows[test]}
    return Split(parts, settings.by, settings.seed, tuple(counts), tuple(warnings))


def _without_official(
    index: StudyIndex,
    settings: SplitSettings,
    rng: np.random.Generator,
    names: set[str],
    *,
    for_audit: bool,
) -> Split:
    """All rows drawn by patient, if they are only audited.

    Raises:
        DataError: a run needs the official parts.
    """
    title = index.table.version
    there = f"only {' and '.join(sorted(names))}" if names - {""} else "none"
    if not for_audit:
        raise DataError(
            f"{there} of {title}'s official parts is in the tables",
            where="split.by = 'official'",
            why="Figures on other images than the official ones can't be compared with published "
            "figures",
            remedy="Leave dataset.labels out, so that the tables in dataset.images are read, or "
            "draw by patient with --set split.by=patient.",
            changes=("split.by=patient",),
        )
    every_row = np.arange(len(index.images), dtype=np.int64)
    drawn = _drawn_by_patient(index, every_row, _SHARES_WITHOUT_OFFICIAL, rng)
    warning = f"{there[:1].upper()}{there[1:]} of {title}'s official parts is in this table: the "
    warning += "parts are drawn by patient."
    return Split(dict(zip(PARTS, drawn, strict=True)), "patient", settings.seed, (), (warning,))


def undrawn(index: StudyIndex, settings: SplitSettings, error: DataError) -> Split:
    """Every image in train, for the audit of a table that can't fill the parts."""
    nothing = np.zeros(0, dtype=np.int64)
    rows = {"train": np.arange(len(index.images), dtype=np.int64), "val": nothing, "test": nothing}
    what = f"{error.what[:1].upper()}{error.what[1:]}"
    warning = f"{what}: a run would be refused, and this audit counts all images as train."
    return Split(rows, settings.by, settings.seed, warnings=(warning,))


def read_lists(index: StudyIndex, sources: DataSources) -> ListedRows:
    """Read the lists of a data set: 112,120 names take longer than any draw from them.

    Raises:
        RecipeError: a list is neither named nor found.
        DataError: see ``read_image_list``; also a name that is not in the label table.
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
        reason = "image in no list, and so in no part"
        counts.append(count_of(reason, index.images[~listed_N]))
    rows_by_part = {"train": train, "val": val, "test": listed.test}
    return Split(rows_by_part, settings.by, settings.seed, tuple(counts))


def _needed(path: Path | None, key: str) -> Path:
    if path is None:
        raise RecipeError(
            "the list is not named, and NIH's file name was not found",
            where=key,
            remedy=f"Name it with --set {key}=FILE, or draw with --set split.by=patient.",
            changes=("split.by=patient",),
        )
    return path


def _listed_rows(names: ImageList, row_of: Mapping[str, int], index: StudyIndex) -> Rows:
    """Rows of a list's images; images of the table that were not found are skipped."""
    found = [row for row in map(row_of.get, names.line_of) if row is not None]
    if len(found) < len(names.line_of):
        names.refuse_unknown(row_of.keys() | index.absent)
    return np.sort(np.array(found, dtype=np.int64))


def _drawn_by_patient(
    index: StudyIndex, rows: Rows, shares: tuple[float, ...], rng: np.random.Generator
) -> list[Rows]:
    """Distribute these rows by patient, stratified by all findings of the table."""
    patients, patient_R = np.unique(index.patients[rows], return_inverse=True)
    if len(patients) < len(shares):
        same = ""
        if len(patients) == 1 and len(rows) > 1:
            name = index.table.patient_text(int(patients[0]))[:60]
            same = f": all {len(rows):,} rows name the patient {name!r}"
        raise DataError(
            f"{len(patients)} patient{'s' if len(patients) > 1 else ''} can't fill "
            f"{len(shares)} parts{same}",
            where=index.table.path,
            why="Each part needs its own patient",
            remedy="Use more images, or give lists with split.by=lists.",
        )
    images_P = np.bincount(patient_R, minlength=len(patients))
    positive_RA = index.table.labels_NA[rows] == PRESENT
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
            why="Without val no best epoch can be selected, without test there are no results",
            remedy="Use more images, or draw the parts from the images found with "
            "--set split.by=patient.",
        )


def shared_patients(index: StudyIndex, split: Split) -> dict[int, tuple[str, ...]]:
    """Patients in more than one part, and the parts; ascending."""
    of_part = {part: distinct(index.patients[rows]) for part, rows in split.rows.items()}
    numbers, parts_of = np.unique(np.concatenate(list(of_part.values())), return_counts=True)
    return {
        int(patient): tuple(part for part in of_part if patient in of_part[part])
        for patient in numbers[parts_of > 1]
    }


def refuse_shared_patients(index: StudyIndex, split: Split) -> None:
    """Raises DataError, naming the patients, if any are in two parts."""
    shared = shared_patients(index, split)
    if not shared:
        return
    named = ", ".join(
        f"{index.table.patient_text(patient)} ({' and '.join(parts)})"
        for patient, parts in list(shared.items())[:_PATIENTS_NAMED]
    )
    more = f" and {len(shared) - _PATIENTS_NAMED:,} more" if len(shared) > _PATIENTS_NAMED else ""
    subject = "1 patient is" if len(shared) == 1 else f"{len(shared):,} patients are"
    raise DataError(
        f"{subject} in more than one part: {named}{more}",
        where=f"split.by = {split.by!r}",
        why="A network recognises patients it trained on, so test results would be too good",
        remedy="Correct the lists, or draw by patient with --set split.by=patient.",
    )
