"""The label table: NIH's two published versions and a plain CSV, recognised by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from core.data.tables.column_names import missing_column
from core.data.tables.dates import are_dates, read_ages_of_dates
from core.data.tables.label_cells import cells_of
from core.data.tables.label_columns import DRAWN, MINED, NOT_RECORDED, PLAIN_CSV, LabelTable
from core.data.tables.label_version import NIH_2017, NIH_V2020, label_version_of
from core.data.tables.labels import (
    labels_of_words,
    refuse_two_sources,
    spelt_otherwise,
    states_of_columns,
)
from core.data.tables.states import LabelPolicy, labels_of_states
from core.data.tables.table_images import guess_in_words, guessed_images, images_of
from core.data.tables.table_patients import patient_cells
from core.data.tables.table_roles import TableRoles
from core.data.tables.text_file import Count
from core.data.tables.text_table import collector_paused, read_table
from core.data.tables.twin_rows import without_twins
from core.recipe import ColumnSettings, DatasetSettings, LabelSettings

_OPTIONAL = {
    "age_years_N": ("age", names.AGE, read_ages),
    "sex_N": ("sex", names.SEX, read_sexes),
    "view_N": ("view", names.VIEW, read_views),
    "follow_up_N": ("follow-up", names.FOLLOW_UP, read_follow_ups),
}


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
    roles = TableRoles.of(table, dataset.columns)
    named = roles.image(from_header=dataset.image_from == "dicom")
    guessed = guessed_images(table, roles.patient) if named is None else None
    images = images_of(roles, guessed if named is None else named)
    words = None if dataset.kind == "table" else roles.first(names.WORDS)
    if dataset.kind == "nih" and words is None:
        raise missing_column(table, "'Finding Labels', which NIH's tables have")
    labels = (
        _in_columns(roles, images, findings, dataset.columns, policy)
        if words is None
        else _in_words(roles, images, words)
    )
    cells = patient_cells(roles, images, dataset.patient_from)
    patients_N, patient_names = read_patients(
        images if cells is None else cells,
        table.where,
        numbers_only=words is not None and dataset.patient_from == "table" and cells is not None,
    )
    columns = _optional_columns(roles, images)
    result = LabelTable(
        path=path,
        version=labels.version,
        kind="table" if words is None else "nih",
        images_N=np.array(images, dtype=object),
        patients_N=patients_N,
        patient_names={} if cells is None else patient_names,
        patients_are_known=cells is not None and dataset.patient_from != "image",
        patients_from_header=dataset.patient_from == "dicom",
        images_from_header=dataset.image_from == "dicom",
        findings=labels.findings,
        labels_NA=labels.labels_NA,
        train_labels_NA=labels.train_NA,
        states_NA=labels.states_NA,
        policy=labels.policy,
        studies_N=None if roles.study is None else numbered(table.columns[roles.study]),
        counts=table.counts
        + labels.counts
        + tuple(count for column in columns.values() if column for count in column.counts),
        digest=table.digest,
        labels_note=NOT_RECORDED if words is None else DRAWN if is_of_phantom(path) else MINED,
        notes=(*(() if guessed is None else (guess_in_words(table, guessed),)), *labels.notes),
        label_version=label_version_of(
            images, labels.findings, labels.labels_NA, written_as=labels.version
        ),
        **{field: column and column.values_N for field, column in columns.items()},  # type: ignore[arg-type]
    )
    return result if len(set(images)) == len(images) else without_twins(result, table.where)


@dataclass(frozen=True)
class _Labels:
    """What the columns of labels say: see ``LabelTable``."""

    version: str
    findings: tuple[str, ...]
    labels_NA: NDArray[np.float32]
    policy: LabelPolicy
    train_NA: NDArray[np.float32] | None = None
    states_NA: NDArray[np.int8] | None = None
    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()


def _in_columns(
    roles: TableRoles,
    images: Sequence[str],
    findings: Sequence[str],
    columns: ColumnSettings,
    settings: LabelSettings,
) -> _Labels:
    """A column for each finding."""
    table = roles.table
    known, states_NA = states_of_columns(table, findings, cells_of(columns), roles.no_findings)
    policy = LabelPolicy("ignore", "unknown", "unknown where empty").with_settings(settings)
    labels_NA, train_NA = labels_of_states(states_NA, images, known, policy)
    notes = tuple(spelt_otherwise(table, known))
    return _Labels(PLAIN_CSV, known, labels_NA, policy, train_NA, states_NA, notes=notes)


def _in_words(roles: TableRoles, images: Sequence[str], position: int) -> _Labels:
    """One column that lists the findings, as NIH's."""
    known, labels_NA, counts = labels_of_words(roles.table, position, images)
    refuse_two_sources(roles.table, position, known, labels_NA)
    policy = LabelPolicy(blank="absent", source="not listed is absent")
    return _Labels(_nih_version(roles), known, labels_NA, policy, counts=counts)


def is_of_phantom(path: Path) -> bool:
    """Whether a label table is that of a synthetic set, whose lesions are listed next to it."""
    return (path.parent / "truth.csv").is_file()


def _nih_version(roles: TableRoles) -> str:
    """2017's table pads patient numbers with zeros and gives ages a unit; v2020's does neither."""
    ages, patients = roles.cells(names.AGE), roles.patient
    has_unit = ages is not None and ages[0].strip()[-1:] in ("Y", "M", "W", "D")
    is_padded = patients is not None and roles.table.columns[patients][0].strip().startswith("0")
    return NIH_2017 if has_unit or is_padded else NIH_V2020


def _optional_columns(roles: TableRoles, images: Sequence[str]) -> dict[str, Column | None]:
    columns: dict[str, Column | None] = {}
    for field, (role, known, read) in _OPTIONAL.items():
        position = roles.of_role(role, known)
        columns[field] = None if position is None else read(roles.table.columns[position], images)
    if columns["age_years_N"] is None:
        columns["age_years_N"] = _ages_of_dates(roles, images)
    return columns


def _ages_of_dates(roles: TableRoles, images: Sequence[str]) -> Column | None:
    born, studied = roles.cells(names.BIRTH_DATE), roles.cells(names.STUDY_DATE)
    if born is None or studied is None or not (are_dates(born) and are_dates(studied)):
        return None
    return read_ages_of_dates(born, studied, images)
