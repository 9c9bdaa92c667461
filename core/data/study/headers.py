"""View, age, sex and patient from DICOM headers, where the label table has no such column."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.images.dicom_header import DicomHeader, read_dicom_header, tell_patients
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.data.tables.cells import read_patients
from core.data.tables.label_columns import LabelTable
from core.data.tables.text_file import Count, count_of
from core.errors import DataError
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json

_COLUMNS = ("age_years_N", "sex_N", "view_N")
_VERSION = 1

Known = dict[str, list[Any]]
"""Image -> its file's signature, view, age in years, sex, patient, whether a name may be in it."""


def wants_headers(table: LabelTable) -> bool:
    """Whether the table lacks something that a header may say."""
    return table.patients_from_header or any(getattr(table, name) is None for name in _COLUMNS)


def with_headers(
    table: LabelTable,
    files: Mapping[str, ImageFile],
    folder: Path | None,
    progress: Callable[[int], None] | None = None,
    *,
    just_read: Known | None = None,
) -> tuple[LabelTable, npt.NDArray[np.int64]]:
    """The table with the columns that it lacks, from its images' headers if these are DICOM.

    Args:
        table: of the images that were found.
        files: where they are; without any, only what was read before is used.
        folder: where what was read is kept for the next time; None: nowhere.
        progress: called with the number of headers read so far; it may raise.
        just_read: what is known of some images without opening them again.

    Returns:
        The table, and the rows whose view is kept.

    Raises:
        DataError: patients are to be read from headers, and these don't tell them apart.
    """
    every_row = np.arange(len(table.images_N), dtype=np.int64)
    if not wants_headers(table):
        return table, every_row
    names = [str(name) for name in table.images_N]
    kept_in = None if folder is None else folder / f"headers-{table_identity(table)}.json"
    known = {} if kept_in is None else _read(kept_in)
    if files:
        known = _known_of(names, files, known | (just_read or {}), progress)
        if known and kept_in is not None:
            _keep(kept_in, known)
    if not known:
        if table.patients_from_header and files:
            raise _no_patients(table, "no image is a DICOM file")
        return table, every_row
    found = [known.get(name) for name in names]
    return _with_columns(table, found, names)


def table_identity(table: LabelTable) -> str:
    """What names the file in which something of this table is kept."""
    return hashlib.sha256(f"{table.digest}\n{table.path}".encode()).hexdigest()[:24]


def _known_of(
    names: Sequence[str],
    files: Mapping[str, ImageFile],
    known: Known,
    progress: Callable[[int], None] | None,
) -> Known:
    now: Known = {}
    others: Counter[str] = Counter()
    for number, name in enumerate(names):
        file = files.get(name)
        if file is None or file.member is not None:
            continue
        kind = _suffix(file.place)
        if others[kind] == _ENOUGH_TO_TELL:
            continue
        before, signature = known.get(name), file.signature  # read before the header is
        if before is not None and before[0] == signature:
            now[name] = before
            continue
        try:
            header = read_dicom_header(file.path, file.name)
        except (UndecodableImage, OSError):  # the ingest tells of it
            continue
        if header is None:
            others[kind] += 1
        else:
            others[kind] = -len(names)  # from now on each of them is opened
            now[name] = known_row(signature, header)
        if progress is not None and number % 100 == 0:
            progress(number)
    return now


def known_row(signature: int, header: DicomHeader) -> list[Any]:
    """What is kept of a header, beside its file's signature."""
    return [
        *(signature, header.view, header.age_years, header.sex),
        *(header.patient, header.is_burned_in),
    ]


_ENOUGH_TO_TELL = 20
"""After so many files of one ending without a DICOM file among them the rest isn't opened."""


def _suffix(place: str) -> str:
    return place.rpartition("/")[2].rpartition(".")[2].lower()


def _with_columns(
    table: LabelTable, found: Sequence[list[Any] | None], names: Sequence[str]
) -> tuple[LabelTable, npt.NDArray[np.int64]]:
    columns: dict[str, Any] = {}
    said: list[str] = []
    if table.view_N is None:
        views = ["unknown" if one is None else str(one[1]) for one in found]
        columns["view_N"] = np.array([v if v != "unknown" else "" for v in views], dtype=object)
        said.append("view")
    if table.age_years_N is None:
        ages = [np.nan if one is None or one[2] is None else float(one[2]) for one in found]
        columns["age_years_N"] = np.array(ages, dtype=np.float64)
        said.append("age")
    if table.sex_N is None:
        columns["sex_N"] = np.array(["" if one is None else one[3] for one in found], dtype=object)
        said.append("sex")
    if table.patients_from_header:
        patients = [None if one is None else one[4] for one in found]
        if not tell_patients(patients):
            without = [
                name for name, patient in zip(names, patients, strict=True) if patient is None
            ]
            what = "each has the same PatientID"
            if without:
                what = f"{len(without):,} have none that can be read, such as {without[0]}"
            raise _no_patients(table, f"of {len(patients):,} images {what}")
        columns["patients_N"], columns["patient_names"] = read_patients(
            [str(patient) for patient in patients],
            lambda row: f"{table.path} ({names[row]})",
            numbers_only=False,
        )
        columns["patients_are_known"] = True
        said.append("patient")
    counts: list[Count] = []
    burned = [name for name, one in zip(names, found, strict=True) if one is not None and one[5]]
    if burned:
        counts.append(count_of("BurnedInAnnotation YES: a name may stand in the picture", burned))
    rows = np.arange(len(names), dtype=np.int64)
    if "view_N" in columns and table.kept_views:
        views_N = np.where(columns["view_N"] == "", "unknown", columns["view_N"])
        rows = np.flatnonzero(np.isin(views_N, (*table.kept_views, "unknown")))
        for view in sorted(set(views_N.tolist()) - {*table.kept_views, "unknown"}):
            left = table.images_N[views_N == view]
            counts.append(count_of(f"{view} view left out (dataset.views, by the header)", left))
        if not len(rows):
            raise DataError(
                f"no image has one of the views {', '.join(table.kept_views)} by its DICOM header",
                where=table.path,
                remedy=f"The headers say {', '.join(sorted(set(views_N.tolist())))}: choose with "
                "dataset.views.",
            )
    note = f"From DICOM headers: {', '.join(said)}."
    return (
        dataclasses.replace(
            table, **columns, counts=(*table.counts, *counts), notes=(*table.notes, note)
        ),
        rows,
    )


def _no_patients(table: LabelTable, what: str) -> DataError:
    return DataError(
        f"the headers tell no patients: {what}",
        where=f"dataset.patient_from = 'dicom' ({table.path.name})",
        why="Images of one patient must not be in two parts",
        remedy="Add a column of patients to the table, or choose image or folder.",
    )


def _read(path: Path) -> Known:
    try:
        kept = json.loads(read_regular(path, MOST_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(kept, dict) or kept.get("version") != _VERSION:
        return {}
    images = kept.get("images")
    if not isinstance(images, dict):
        return {}
    return {name: row for name, row in images.items() if isinstance(row, list) and len(row) == 6}


def _keep(path: Path, known: Known) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"version": _VERSION, "images": known})
    except OSError:
        return  # read again next time
