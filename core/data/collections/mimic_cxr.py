"""MIMIC-CXR-JPG (Beth Israel Deaconess): label tables of studies, joined with those of images.

Sources of the format: the data page of version 2.1.0 and MIT-LCP/mimic-cxr. A label table has a row
a study; which images and views a study has says the metadata table, its part the split table, age
and sex MIMIC-IV's table of patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import numpy.typing as npt

from core.data.collections.cells import CHEXPERT_CELLS, states_by_name
from core.data.collections.collection import Collection, ReadingSettings, Rows
from core.data.collections.mimic_beside import Beside, columns_of, role_of, wants
from core.data.tables.cell_columns import by_distinct, distinct_cells
from core.data.tables.cells import MAX_AGE_YEARS, read_sexes, views_of
from core.data.tables.label_columns import FileNames
from core.data.tables.states import UNKNOWN, LabelPolicy, States
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable
from core.errors import DataError
from core.findings import NO_FINDING

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum"),
    *("Fracture", "Lung Lesion", "Lung Opacity", NO_FINDING, "Effusion", "Pleural Other"),
    *("Pneumonia", "Pneumothorax", "Support Devices"),
)
"""In the order of the published tables; the test table calls Lung Opacity ``Airspace Opacity``."""

OLDEST_YEARS = 91
"""``anchor_age`` of everybody above 89."""

_LABELS = ("mimic-cxr-2.0.0-chexpert.csv", "mimic-cxr-2.0.0-negbio.csv")
_METADATA, _SPLIT = "mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.0.0-split.csv"
_PATIENTS = "patients.csv"
_PATIENT_FOLDERS = ("", "hosp", "mimic-iv/hosp", "mimiciv/hosp")
_PARTS = {"train": "train", "validate": "val", "test": "test"}

_NO_ROW = -1

Rows_N = npt.NDArray[np.int64]


def _recognises(header: Sequence[str]) -> bool:
    return role_of(header) is not None


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    beside = Beside(table, settings.with_others)
    joined: dict[str, TextTable | None] = {str(role_of(table.header)): table}
    roles = (("metadata", (_METADATA,)), ("split", (_SPLIT,)), ("labels", _LABELS))
    missing = [(role, names) for role, names in roles if role not in joined]
    readable = {"split": _refuse_other_parts, "labels": _refuse_unreadable_labels}
    with ThreadPoolExecutor(max_workers=2) as pool:
        beside.read_ahead(pool, [names[0] for _, names in missing])
        for role, names in missing:
            joined[role] = beside.found(role, [table.path.parent], names, refuse=readable.get(role))
    images = joined["metadata"] or joined["split"]
    labels = joined["labels"]
    if images is None:
        return _rows_of_studies(labels or table, beside)
    folders = [table.path.parent / each for each in _PATIENT_FOLDERS]
    patients = beside.found("patients", folders, (_PATIENTS,), images=images)
    return _rows_of_images(images, labels, joined["split"], patients, beside)


def _rows_of_studies(labels: TextTable, beside: Beside) -> Rows:
    """A label table alone: its rows are studies, whose images it doesn't name."""
    column = columns_of(labels)
    findings, states_NA = states_by_name(labels, FINDINGS, CHEXPERT_CELLS)
    is_test = "subject_id" not in column
    return Rows(
        images=column["study_id"],
        patients=column.get("subject_id"),
        findings=findings,
        states_NA=states_NA,
        where=labels.where,
        studies=column["study_id"],
        official_N=np.full(len(states_NA), "test", dtype=object) if is_test else None,
        counts=tuple(beside.counts),
        digests=beside.digests,
        patients_of="mimic-cxr",
        notes=(f"Rows are studies: {_METADATA}, which names their images, is not beside them.",),
    )


def _rows_of_images(
    images: TextTable,
    labels: TextTable | None,
    split: TextTable | None,
    patients: TextTable | None,
    beside: Beside,
) -> Rows:
    column = columns_of(images)
    names, studies, subjects = column["dicom_id"], column["study_id"], column["subject_id"]
    findings, states_NA, row_of_study = _labels(labels, beside.counts)
    label_rows = _rows_in(row_of_study, studies)
    is_kept_N = np.ones(len(names), dtype=bool)
    is_test = labels is not None and "subject_id" not in labels.header
    if is_test:
        is_kept_N = label_rows != _NO_ROW
    kept = np.flatnonzero(is_kept_N)
    if not is_kept_N.all():
        names, studies, subjects = (
            tuple(cells[row] for row in kept.tolist()) for cells in (names, studies, subjects)
        )
    label_rows = label_rows[kept]
    if labels is not None:
        _count_unlabelled(beside.counts, labels, names, label_rows)
    age_years_N, sex_N = _ages_and_sexes(
        patients, names, subjects, _taken(column.get("StudyDate"), kept), beside.counts
    )
    views = _taken(column.get("ViewPosition"), kept)
    notes = () if labels is not None else ("No label table is beside: each finding is unknown.",)
    return Rows(
        images=names,
        patients=subjects,
        findings=findings,
        states_NA=states_NA[label_rows],
        where=lambda row: images.where(int(kept[row])),
        studies=studies,
        age_years_N=age_years_N,
        sex_N=sex_N,
        view_N=None if views is None else views_of(views),
        official_N=_official(split, names, beside.counts, is_test=is_test),
        files=FileNames({name: name for name in names}),
        counts=tuple(beside.counts),
        digests=beside.digests,
        patients_of="mimic-cxr",
        notes=(*notes, *(_READ_BY_ONE,) * is_test),
    )


_READ_BY_ONE = "Labels of the test part were read from the reports by one radiologist."


def _taken(cells: Sequence[str] | None, rows: Rows_N) -> Sequence[str] | None:
    if cells is None or len(rows) == len(cells):
        return cells
    return tuple(cells[row] for row in rows.tolist())


def _labels(
    labels: TextTable | None, counts: list[Count]
) -> tuple[tuple[str, ...], States, Mapping[str, int]]:
    """Findings, their states by study with a last row of unknown ones, and each study's row.

    Raises:
        DataError: two rows of one study differ.
    """
    if labels is None:
        return FINDINGS, np.full((1, len(FINDINGS)), UNKNOWN, dtype=np.int8), {}
    findings, states_SA = states_by_name(labels, FINDINGS, CHEXPERT_CELLS)
    studies = columns_of(labels)["study_id"]
    row_of = dict(zip(reversed(studies), range(len(studies) - 1, -1, -1), strict=True))
    twins = []
    for row, study in enumerate(studies if len(row_of) < len(studies) else ()):
        first = row_of[study]
        if first != row:
            if not np.array_equal(states_SA[first], states_SA[row]):
                raise DataError(
                    f"study {study} is labelled otherwise on line {labels.line(first)}",
                    where=labels.where(row),
                    why="Only one of the rows can be right",
                    remedy="Remove the wrong row, or fetch the table again.",
                )
            twins.append(study)
    if twins:
        counts.append(count_of("study with two equal rows of labels", twins))
    unknown_1A = np.full((1, len(findings)), UNKNOWN, dtype=np.int8)
    return findings, np.concatenate([states_SA, unknown_1A]), row_of


def _rows_in(row_of: Mapping[str, int], cells: Sequence[str]) -> Rows_N:
    """The row of each cell; ``_NO_ROW``, which is the last one, if there is none."""
    return np.fromiter(map(row_of.get, cells, repeat(_NO_ROW)), np.int64, len(cells))


def _count_unlabelled(
    counts: list[Count], labels: TextTable, names: Sequence[str], label_rows: Rows_N
) -> None:
    without = [names[row] for row in np.flatnonzero(label_rows == _NO_ROW).tolist()]
    if without:
        reason = "image of a study without a row of labels: unknown in every finding"
        counts.append(count_of(reason, without))
    has_image_S = np.zeros(len(labels.columns[0]) + 1, dtype=bool)
    has_image_S[label_rows] = True
    studies = columns_of(labels)["study_id"]
    lonely = [studies[row] for row in np.flatnonzero(~has_image_S[:-1]).tolist()]
    if lonely:
        counts.append(count_of("labelled study without an image in the other tables", lonely))


def _official(
    split: TextTable | None, names: Sequence[str], counts: list[Count], *, is_test: bool
) -> npt.NDArray[np.object_] | None:
    """``train``, ``val`` or ``test`` of each image, '' where the split table doesn't name it."""
    if split is None:
        return np.full(len(names), "test", dtype=object) if is_test else None
    _refuse_other_parts(split)
    column = columns_of(split)
    parts: Sequence[str] = column["split"]
    if column["dicom_id"] != tuple(names):
        part_of = dict(zip(column["dicom_id"], column["split"], strict=True))
        parts = list(map(part_of.get, names, repeat("")))
    official_N = by_distinct(parts, lambda cell: _PARTS.get(cell.strip(), ""), object)
    missing = np.array(names, dtype=object)[official_N == ""]
    if len(missing):
        counts.append(count_of(f"image that {split.path.name} puts in no part", missing))
    return official_N


def _refuse_other_parts(split: TextTable) -> None:
    cells = columns_of(split)["split"]
    for part in distinct_cells(cells):
        if part.strip() not in _PARTS:
            raise DataError(
                f"split is {part[:60]!r}, not one of {', '.join(_PARTS)}",
                where=split.where(cells.index(part)),
                remedy="Correct the cell, or fetch the table again.",
            )


def _refuse_unreadable_labels(labels: TextTable) -> None:
    _labels(labels, [])


def _ages_and_sexes(
    patients: TextTable | None,
    names: Sequence[str],
    subjects: Sequence[str],
    dates: Sequence[str] | None,
    counts: list[Count],
) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.object_] | None]:
    """Age at the study, and sex, of N images; None without the table of patients."""
    if patients is None:
        return None, None
    column = columns_of(patients)
    row_of = {subject: row for row, subject in enumerate(column["subject_id"])}
    rows = _rows_in(row_of, subjects)
    missing = [names[image] for image in np.flatnonzero(rows == _NO_ROW).tolist()]
    if missing:
        reason = f"image whose subject has no row in {patients.path.name}: age and sex unknown"
        counts.append(count_of(reason, missing))
    genders = [*column["gender"], ""]
    sexes = read_sexes([genders[row] for row in rows.tolist()], names)
    counts += sexes.counts
    if dates is None:
        return None, sexes.values_N
    anchors_N = _years([*column["anchor_age"], ""])[rows]
    years_N = by_distinct(dates, lambda date: _year(date.strip()[:4]), np.float64)
    ages_N = anchors_N + years_N - _years([*column["anchor_year"], ""])[rows]
    is_oldest_N = anchors_N >= OLDEST_YEARS
    ages_N[is_oldest_N] = OLDEST_YEARS
    is_outside_N = (ages_N < 0) | (ages_N > MAX_AGE_YEARS)
    ages_N[is_outside_N] = np.nan
    images_N = np.array(names, dtype=object)
    for reason, named_N in (
        (f"age {OLDEST_YEARS} stands for everybody above 89", is_oldest_N),
        (f"age below 0 or above {MAX_AGE_YEARS} years treated as missing", is_outside_N),
    ):
        if named_N.any():
            counts.append(count_of(reason, images_N[named_N]))
    return ages_N, sexes.values_N


def _years(cells: Sequence[str]) -> npt.NDArray[np.float64]:
    """Whole numbers; NaN for anything else."""
    return by_distinct(cells, _year, np.float64)


def _year(cell: str) -> float:
    return float(cell) if cell.strip().isdecimal() else np.nan


MIMIC_CXR = Collection(
    kind="mimic-cxr",
    title="MIMIC-CXR-JPG",
    licence="PhysioNet's credentialed data use agreement: no sharing of any kind",
    table_names=(*_LABELS, _METADATA, _SPLIT),
    recognises=_recognises,
    read=_read,
    # Its authors name none.
    policy=LabelPolicy(
        "zeros", "absent", "Seyyed-Kalantari 2020: uncertain and not mentioned as absent"
    ),
    wants=wants,
)
