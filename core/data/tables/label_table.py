"""The label table: NIH's two published versions and a plain CSV, recognised by content."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.tables.cells import (
    Column,
    read_ages,
    read_follow_ups,
    read_patients,
    read_sexes,
    read_views,
)
from core.data.tables.label_version import NIH_2017, NIH_V2020, label_version_of
from core.data.tables.labels import (
    folded,
    labels_of_columns,
    labels_of_words,
    missing_column,
    refuse_two_sources,
)
from core.data.tables.text_file import Count, count_of, unsafe_name
from core.data.tables.text_table import (
    TextTable,
    collector_paused,
    first_that_says_nothing,
    read_table,
)
from core.errors import DataError
from core.findings import FINDINGS

PLAIN_CSV = "plain CSV"

# Column names as people write them, folded; the best first.
_IMAGE_INDEX = ("imageindex", "imagename", "imagefile", "imageid", "image")
_IMAGE = (*_IMAGE_INDEX, "filename", "file", "imagepath", "filepath", "path")
_PATIENT = ("patientid", "patient", "patientnumber", "subjectid", "subject")
_WORDS = ("findinglabels", "findinglabel")
_AGE = ("patientage", "age", "ageyears")
_OPTIONAL = {
    "age_years_N": (_AGE, read_ages),
    "sex_N": (("patientgender", "patientsex", "gender", "sex"), read_sexes),
    "view_N": (("viewposition", "view", "projection"), read_views),
    "follow_up_N": (("followup", "followupnumber"), read_follow_ups),
}
_PATIENT_IN_PATH = re.compile(r"(^|/)(patient|subject|p)[-_]?[0-9]+(/|_)", re.IGNORECASE)
_PER_IMAGE = ("images_N", "patients_N", "labels_NA", *_OPTIONAL)


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A label table of N images and A findings: all that it has, whichever are asked for.

    ``labels_NA`` holds 1 present, 0 absent, NaN unknown. ``age_years_N`` (NaN missing),
    ``sex_N``, ``view_N`` ('' unknown) and ``follow_up_N`` are None where the table has no such
    column. ``patient_names`` holds the original text of patients that are not numbers.
    ``version`` says how the table is written; ``label_version`` whose labels it holds, told by
    the labels themselves. ``digest`` is the SHA-256 of the file.
    """

    path: Path
    version: str
    images_N: npt.NDArray[np.object_]
    patients_N: npt.NDArray[np.int64]
    patient_names: Mapping[int, str]
    findings: tuple[str, ...]
    labels_NA: npt.NDArray[np.float32]
    age_years_N: npt.NDArray[np.float64] | None
    sex_N: npt.NDArray[np.object_] | None
    view_N: npt.NDArray[np.object_] | None
    follow_up_N: npt.NDArray[np.int64] | None
    counts: tuple[Count, ...]
    digest: str
    label_version: str


@collector_paused()
def read_label_table(path: Path, findings: Sequence[str] = ()) -> LabelTable:
    """Reads a label table and checks every row of it.

    Repaired and counted: see ``read_table``; other spellings of findings, ages out of range,
    rows that stand twice with equal values.

    Args:
        path: the table.
        findings: findings that it must have; it is read with all that it has.

    Raises:
        DataError: see ``read_table``; besides, a missing column, an unknown finding,
            ``No Finding`` beside a finding, a label that is neither 1, 0 nor empty, an unsafe
            file name, a row without a patient, two rows of one image that conflict.
    """
    table = read_table(path)
    position_of = _positions(table)
    images = _images(table, position_of)
    patient_cells = table.columns[_patient_column(table, position_of, images)]
    words = _first(position_of, _WORDS)
    counts: tuple[Count, ...] = ()
    if words is None:
        version = PLAIN_CSV
        known, labels_NA = labels_of_columns(table, findings)
    else:
        version = _nih_version(table, position_of, patient_cells)
        known = FINDINGS
        labels_NA, counts = labels_of_words(table, words, images)
        refuse_two_sources(table, words, labels_NA)
    patients_N, patient_names = read_patients(patient_cells, table, numbers_only=words is not None)
    columns = _optional_columns(table, position_of, images)
    result = LabelTable(
        path=path,
        version=version,
        images_N=np.array(images, dtype=object),
        patients_N=patients_N,
        patient_names=patient_names,
        findings=known,
        labels_NA=labels_NA,
        counts=table.counts
        + counts
        + tuple(count for column in columns.values() if column for count in column.counts),
        digest=table.digest,
        label_version=label_version_of(images, known, labels_NA, written_as=version),
        **{field: column and column.values_N for field, column in columns.items()},  # type: ignore[arg-type]
    )
    return result if len(set(images)) == len(images) else _without_twins(result, table)


def is_of_phantom(path: Path) -> bool:
    """Whether a label table is that of a synthetic set, whose lesions are listed beside it."""
    return (path.parent / "truth.csv").is_file()


def _positions(table: TextTable) -> Mapping[str, int]:
    """Folded column name -> its position; of equal names the first."""
    return {folded(name): i for i, name in reversed(list(enumerate(table.header)))}


def _first(position_of: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((position_of[name] for name in names if name in position_of), None)


def _required(
    table: TextTable, position_of: Mapping[str, int], names: Iterable[str], usual_name: str
) -> int:
    position = _first(position_of, names)
    if position is None:
        raise missing_column(table, repr(usual_name))
    return position


def _patient_column(table: TextTable, position_of: Mapping[str, int], images: Sequence[str]) -> int:
    position = _first(position_of, _PATIENT)
    if position is not None:
        return position
    remedy = "Add a column 'Patient ID'; where no patient has two images, repeat the file name."
    if any(_PATIENT_IN_PATH.search(image) for image in images[:1]):
        remedy = f"Add a column 'Patient ID': {images[0]!r} seems to name the patient in its path."
    raise missing_column(
        table,
        "'Patient ID'",
        f"{remedy} Images of one patient must not stand in two parts.",
    )


def _images(table: TextTable, position_of: Mapping[str, int]) -> list[str]:
    images = [
        name.strip() for name in table.columns[_required(table, position_of, _IMAGE, "Image Index")]
    ]
    unsafe = unsafe_name(images)
    if unsafe:
        raise DataError(
            f"the file name {unsafe.name!r} holds {unsafe.holds}",
            where=table.where(unsafe.row),
            why="A name in a table must not lead out of the folder of images",
            remedy="Write the bare file name, such as 00000001_000.png, which is looked for in all "
            "folders below dataset.images, or the last folders with it, parted by '/'.",
        )
    nameless = first_that_says_nothing(images)
    if nameless is not None:
        raise DataError(
            f"the row names no image but {images[nameless]!r}",
            where=table.where(nameless),
            remedy="Complete or remove the row.",
        )
    return images


def _nih_version(
    table: TextTable, position_of: Mapping[str, int], patient_cells: Sequence[str]
) -> str:
    """2017's table pads patient numbers with zeros and gives ages a unit; v2020's does neither."""
    age = _first(position_of, _AGE)
    has_unit = age is not None and table.columns[age][0].strip()[-1:] in ("Y", "M", "D")
    return NIH_2017 if has_unit or patient_cells[0].strip().startswith("0") else NIH_V2020


def _optional_columns(
    table: TextTable, position_of: Mapping[str, int], images: Sequence[str]
) -> dict[str, Column | None]:
    columns: dict[str, Column | None] = {}
    for field, (names, read) in _OPTIONAL.items():
        position = _first(position_of, names)
        columns[field] = None if position is None else read(table.columns[position], images)
    return columns


def _without_twins(labels: LabelTable, table: TextTable) -> LabelTable:
    """Keeps the first of equal rows of one image; refuses rows that conflict."""
    first_of: dict[str, int] = {}
    kept: list[int] = []
    twins: list[str] = []
    for row, image in enumerate(labels.images_N):
        first = first_of.setdefault(image, row)
        if first == row:
            kept.append(row)
            continue
        differing = _differing(labels, first, row)
        if differing:
            raise DataError(
                f"{image!r} stands twice, with different {' and '.join(differing)}",
                where=f"{table.path} lines {table.line(first)} and {table.line(row)}",
                why="Only one of them can be right",
                remedy=_remedy_for_twins(
                    differing, len(set(labels.images_N)), len(labels.images_N)
                ),
            )
        twins.append(image)
    changes: dict[str, Any] = {
        field: values[kept]
        for field in _PER_IMAGE
        if (values := getattr(labels, field)) is not None
    }
    count = count_of("row that stands twice, with equal values", twins)
    return dataclasses.replace(labels, **changes, counts=(*labels.counts, count))


def _remedy_for_twins(differing: Sequence[str], num_names: int, num_rows: int) -> str:
    if "patients" not in differing:
        return "Correct or remove the wrong row."
    many = ""
    if num_names < num_rows - 1:
        different = "1 name" if num_names == 1 else f"{num_names:,} different names"
        many = f" ({num_rows:,} rows have {different})"
    return (
        f"Where they are two images{many}, write each with its folder, such as "
        "patient1/study1/view1.png; where it is one, correct or remove the wrong row."
    )


_IN_WORDS = {"patients_N": "patients", "labels_NA": "labels", "age_years_N": "ages"}
_IN_WORDS |= {"sex_N": "sexes", "view_N": "view positions", "follow_up_N": "follow-up numbers"}


def _differing(labels: LabelTable, first: int, second: int) -> list[str]:
    differing = []
    for field, words in _IN_WORDS.items():
        values = getattr(labels, field)
        if values is None:
            continue
        equal_nan = values.dtype != object and np.issubdtype(values.dtype, np.floating)
        if not np.array_equal(values[first], values[second], equal_nan=equal_nan):
            differing.append(words)
    return differing
