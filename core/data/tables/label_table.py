"""The label table: NIH's two published versions and a plain CSV, recognised by content."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from core.data.tables import column_names as names
from core.data.tables.cells import (
    Column,
    numbered,
    read_ages,
    read_follow_ups,
    read_patients,
    read_sexes,
    read_views,
)
from core.data.tables.dates import are_dates, read_ages_of_dates
from core.data.tables.image_suffixes import IMAGE_SUFFIXES
from core.data.tables.label_columns import DRAWN, MINED, NOT_RECORDED, PLAIN_CSV, LabelTable
from core.data.tables.label_version import NIH_2017, NIH_V2020, label_version_of
from core.data.tables.labels import (
    cells_of,
    folded,
    labels_of_words,
    missing_column,
    refuse_two_sources,
    spelt_otherwise,
    states_of_columns,
)
from core.data.tables.states import LabelPolicy, labels_of_states
from core.data.tables.text_file import Count, count_of, unsafe_name
from core.data.tables.text_table import (
    TextTable,
    collector_paused,
    first_that_says_nothing,
    read_table,
)
from core.errors import DataError
from core.findings import did_you_mean
from core.recipe import ColumnSettings, DatasetSettings, LabelSettings

_OPTIONAL = {
    "age_years_N": ("age", names.AGE, read_ages),
    "sex_N": ("sex", names.SEX, read_sexes),
    "view_N": ("view", names.VIEW, read_views),
    "follow_up_N": ("follow-up", names.FOLLOW_UP, read_follow_ups),
}
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+")
_PATIENT_IN_PATH = re.compile(r"(^|/)(patient|subject|p)[-_]?[0-9]+(/|_)", re.IGNORECASE)


@collector_paused()
def read_label_table(
    path: Path,
    findings: Sequence[str] = (),
    dataset: DatasetSettings = DatasetSettings(),  # noqa: B008 - frozen
    policy: LabelSettings = LabelSettings(),  # noqa: B008 - frozen
) -> LabelTable:
    """Read a label table of NIH's or of one's own and check every row.

    Repaired and counted: see ``read_table``; other spellings of findings, ages out of range,
    duplicate rows with equal values.

    Args:
        path: the table.
        findings: findings that it must have; all that it has are read.
        dataset: where patients are read, the table's own column names.
        policy: what uncertain labels and blank cells mean.

    Raises:
        DataError: see ``read_table``; also a missing column, an unknown finding, ``No Finding``
            together with a finding, a label that is neither 1, 0 nor empty, an unsafe file name, a
            row without a patient, two conflicting rows of one image.
    """
    table = read_table(path)
    own = _named_columns(table, dataset.columns)
    position_of = _positions(table)
    named = _image_column(position_of, own, from_header=dataset.image_from == "dicom")
    patients = own.get("patient", _first(position_of, names.PATIENT))
    guessed = _guessed_images(table, patients) if named is None else None
    images = _images(table, guessed if named is None else named)
    words = None if dataset.kind == "table" else _first(position_of, names.WORDS)
    if dataset.kind == "nih" and words is None:
        raise missing_column(table, "'Finding Labels', which NIH's tables have")
    counts: tuple[Count, ...] = ()
    states_NA = None
    if words is None:
        version = PLAIN_CSV
        known, states_NA = states_of_columns(
            table, findings, cells_of(dataset.columns), _roles(position_of, own)
        )
        kept = LabelPolicy("ignore", "unknown", "unknown where empty").with_settings(policy)
        labels_NA, train_NA = labels_of_states(states_NA, images, known, kept)
    else:
        version = _nih_version(table, position_of, patients)
        known, labels_NA, counts = labels_of_words(table, words, images)
        refuse_two_sources(table, words, known, labels_NA)
        kept, train_NA = LabelPolicy(blank="absent", source="not listed is absent"), None
    cells = _patient_cells(table, patients, images, dataset.patient_from)
    patients_N, patient_names = read_patients(
        images if cells is None else cells,
        table.where,
        numbers_only=words is not None and dataset.patient_from == "table" and cells is not None,
    )
    columns = _optional_columns(table, position_of, own, images)
    study = own.get("study", _first(position_of, names.STUDY))
    result = LabelTable(
        path=path,
        version=version,
        kind="table" if words is None else "nih",
        images_N=np.array(images, dtype=object),
        patients_N=patients_N,
        patient_names={} if cells is None else patient_names,
        patients_are_known=cells is not None and dataset.patient_from != "image",
        patients_from_header=dataset.patient_from == "dicom",
        images_from_header=dataset.image_from == "dicom",
        findings=known,
        labels_NA=labels_NA,
        train_labels_NA=train_NA,
        states_NA=states_NA,
        policy=kept,
        studies_N=None if study is None else numbered(table.columns[study]),
        counts=table.counts
        + counts
        + tuple(count for column in columns.values() if column for count in column.counts),
        digest=table.digest,
        labels_note=NOT_RECORDED if words is None else DRAWN if is_of_phantom(path) else MINED,
        notes=(
            *(() if guessed is None else (_guess_in_words(table, guessed),)),
            *(spelt_otherwise(table, known) if words is None else ()),
        ),
        label_version=label_version_of(images, known, labels_NA, written_as=version),
        **{field: column and column.values_N for field, column in columns.items()},  # type: ignore[arg-type]
    )
    return result if len(set(images)) == len(images) else without_twins(result, table.where)


def is_of_phantom(path: Path) -> bool:
    """Whether a label table is that of a synthetic set, whose lesions are listed next to it."""
    return (path.parent / "truth.csv").is_file()


def _positions(table: TextTable) -> Mapping[str, int]:
    """Folded column name -> its position; of equal names the first."""
    return {folded(name): i for i, name in reversed(list(enumerate(table.header)))}


def _first(position_of: Mapping[str, int], known: Iterable[str]) -> int | None:
    return next((position_of[name] for name in known if name in position_of), None)


def _image_column(
    position_of: Mapping[str, int], own: Mapping[str, int], *, from_header: bool
) -> int | None:
    """The column of the images' names, or of what their headers name them or their study by."""
    usual = _first(position_of, names.IMAGE)
    if not from_header or "image" in own:
        return own.get("image", usual)
    identifiers = own.get("study", _first(position_of, names.IDENTIFIER))
    return usual if identifiers is None else identifiers


def _patient_cells(
    table: TextTable, position: int | None, images: Sequence[str], patient_from: str
) -> Sequence[str] | None:
    """The text that names each image's patient; None: the table names none."""
    if patient_from == "study":
        study = _first(_positions(table), names.STUDY)
        if study is None:
            raise missing_column(table, "of studies, which dataset.patient_from needs")
        return table.columns[study]
    if patient_from == "dicom":
        return None
    if patient_from != "table":
        return patients_of_names(images, patient_from)
    return None if position is None else table.columns[position]


def patients_of_names(images: Sequence[str], patient_from: str) -> Sequence[str]:
    """Patients from image names: each its own, its folder, or its prefix up to the first ``_``.

    Raises:
        DataError: a name without a folder or prefix.
    """
    if patient_from == "image":
        return images
    split = [image.rpartition("/") for image in images]
    if patient_from == "folder":
        cut, part = [folder for folder, _, _ in split], "folder before it"
    else:
        cut, part = [last.partition("_")[0] if "_" in last else "" for *_, last in split], "_ in it"
    if "" in cut:
        raise DataError(
            f"{images[cut.index('')]!r} has no {part}",
            where=f"dataset.patient_from = {patient_from!r}",
            why="Images of one patient must not be in two parts",
            remedy="Choose image if no patient has two, or add a column of patients.",
        )
    return cut


def refuse_unknown_patients(table: LabelTable, patient_from: str) -> None:
    """Raises DataError if a split by patient is wanted and the table names no patients."""
    if table.patients_are_known or patient_from != "table":
        return
    first = str(table.images_N[0])
    hints = [f"{first!r} seems to name the patient in its path"] * bool(
        _PATIENT_IN_PATH.search(first)
    )
    choices = ["image, if no patient has two images", "dicom, if the images are DICOM files"]
    if "/" in first:
        choices.append(f"folder, which is {first.rpartition('/')[0]!r} for {first!r}")
    if "_" in first.rpartition("/")[2]:
        prefix = first.rpartition("/")[2].partition("_")[0]
        choices.append(f"prefix, which is {prefix!r} for {first!r}")
    raise DataError(
        "no column 'Patient ID', nor another that names the patients",
        where=table.path,
        why="Images of one patient must not be in two parts" + (f"; {hints[0]}" if hints else ""),
        remedy="Name the column as dataset.columns.patient, or set dataset.patient_from to "
        f"{'; or to '.join(choices)}.",
    )


def _roles(position_of: Mapping[str, int], own: Mapping[str, int]) -> frozenset[int]:
    """Positions of the columns that are known to be something else than a finding."""
    roles = (
        *names.IMAGE,
        *names.PATIENT,
        *names.STUDY,
        *names.BIRTH_DATE,
        *names.STUDY_DATE,
        *(name for _, known, _ in _OPTIONAL.values() for name in known),
    )
    return frozenset(own.values()) | {position_of[name] for name in roles if name in position_of}


def _named_columns(table: TextTable, columns: ColumnSettings) -> dict[str, int]:
    """The positions of the columns that the recipe names."""
    position_of: dict[str, int] = {}
    for role in ("image", "patient", "study", "view", "age", "sex"):
        name = getattr(columns, role)
        if name is None:
            continue
        if name not in table.header:
            raise missing_column(
                table,
                f"{name!r}, which dataset.columns.{role} names",
                did_you_mean(name, table.header),
            )
        position_of[role] = table.header.index(name)
    return position_of


def _guessed_images(table: TextTable, patients: int | None) -> int | None:
    """The column that seems to name the images: one file or another name in each row, all
    different, none with blanks; file names are preferred. It isn't that of the patients, unless
    these are files."""
    candidates = [
        position
        for position, cells in enumerate(table.columns)
        if len(set(cells)) == len(cells)
        and all(cell and not cell.isspace() and " " not in cell.strip() for cell in cells)
    ]
    files = [
        position
        for position in candidates
        if all(cell.strip().lower().endswith(IMAGE_SUFFIXES) for cell in table.columns[position])
    ]
    lettered = [
        position
        for position in candidates
        if position != patients
        and not any(_NUMBER.fullmatch(cell.strip()) for cell in table.columns[position])
    ]
    return next(iter((*files, *lettered)), None)


def _guess_in_words(table: TextTable, position: int) -> str:
    name = table.header[position]
    return f"The images' column is guessed: --set dataset.columns.image='{name}' settles it."


def _images(table: TextTable, position: int | None) -> list[str]:
    if position is None:
        by_header = _first(_positions(table), names.IDENTIFIER)
        raise missing_column(
            table,
            "'Image Index'",
            "Name the column that holds it as dataset.columns.image."
            if by_header is None
            else f"If the images are DICOM files whose headers hold {table.header[by_header]!r}, "
            "set dataset.image_from to dicom; if another column names the files, name it as "
            "dataset.columns.image.",
            ("dataset.image_from=dicom",) * (by_header is not None),
        )
    images = [name.strip() for name in table.columns[position]]
    unsafe = unsafe_name(images)
    if unsafe:
        raise DataError(
            f"the file name {unsafe.name!r} contains {unsafe.holds}",
            where=table.where(unsafe.row),
            why="A name in a table must not lead out of the folder of images",
            remedy="Write the bare file name, such as 00000001_000.png, which is looked for in all "
            "folders below dataset.images, or put its last folders before it, separated by '/'.",
        )
    nameless = first_that_says_nothing(images)
    if nameless is not None:
        raise DataError(
            f"the row names no image but {images[nameless]!r}",
            where=table.where(nameless),
            remedy="Complete or remove the row.",
        )
    return images


def _nih_version(table: TextTable, position_of: Mapping[str, int], patients: int | None) -> str:
    """2017's table pads patient numbers with zeros and gives ages a unit; v2020's does neither."""
    age = _first(position_of, names.AGE)
    has_unit = age is not None and table.columns[age][0].strip()[-1:] in ("Y", "M", "W", "D")
    is_padded = patients is not None and table.columns[patients][0].strip().startswith("0")
    return NIH_2017 if has_unit or is_padded else NIH_V2020


def _optional_columns(
    table: TextTable,
    position_of: Mapping[str, int],
    own: Mapping[str, int],
    images: Sequence[str],
) -> dict[str, Column | None]:
    columns: dict[str, Column | None] = {}
    for field, (role, known, read) in _OPTIONAL.items():
        position = own.get(role, _first(position_of, known))
        columns[field] = None if position is None else read(table.columns[position], images)
    if columns["age_years_N"] is None:
        columns["age_years_N"] = _ages_of_dates(table, position_of, images)
    return columns


def _ages_of_dates(
    table: TextTable, position_of: Mapping[str, int], images: Sequence[str]
) -> Column | None:
    dates = [
        table.columns[position]
        for known in (names.BIRTH_DATE, names.STUDY_DATE)
        if (position := _first(position_of, known)) is not None
        and are_dates(table.columns[position])
    ]
    if len(dates) < 2:
        return None
    born, studied = dates
    return read_ages_of_dates(born, studied, images)


def without_twins(labels: LabelTable, where: Callable[[int], str]) -> LabelTable:
    """Keep the first of equal rows of one image.

    Raises:
        DataError: rows of one image conflict.
    """
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
                f"{image!r} is listed twice, with different {' and '.join(differing)}",
                where=f"{_path_in(where(first))} lines {_line_in(where(first))} and "
                f"{_line_in(where(row))}",
                why="Only one of them can be right",
                remedy=_remedy_for_twins(
                    differing, len(set(labels.images_N)), len(labels.images_N)
                ),
            )
        twins.append(image)
    count = count_of("duplicate row with equal values", twins)
    return dataclasses.replace(labels.take(kept), counts=(*labels.counts, count))


def _path_in(where: str) -> str:
    return where.rpartition(" line ")[0]


def _line_in(where: str) -> str:
    return where.rpartition(" ")[2]


def _remedy_for_twins(differing: Sequence[str], num_names: int, num_rows: int) -> str:
    if "patients" not in differing:
        return "Correct or remove the wrong row."
    many = ""
    if num_names < num_rows - 1:
        different = "1 name" if num_names == 1 else f"{num_names:,} different names"
        many = f" ({num_rows:,} rows have {different})"
    return (
        f"If they are two images{many}, write each with its folder, such as "
        "patient1/study1/view1.png; if it is one, correct or remove the wrong row."
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
