"""A label table of any collection, from its file to labels under a recipe's policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.data.collections.collection import Collection, ReadingSettings, Rows
from core.data.collections.registry import collection_named, collection_of, header_of
from core.data.tables.cells import numbered, read_patients
from core.data.tables.label_columns import LabelTable
from core.data.tables.label_table import read_label_table
from core.data.tables.states import labels_of_states
from core.data.tables.table_patients import patients_of_names
from core.data.tables.text_file import Count, count_of, unsafe_name
from core.data.tables.text_table import TextTable, collector_paused, read_table
from core.data.tables.twin_rows import without_twins
from core.errors import DataError
from core.recipe import DatasetSettings, LabelSettings

_NOT_ASIDE = ("PA", "AP", "frontal", "unknown")


@dataclass(frozen=True)
class TableReading:
    """How a recipe wants its label table read."""

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)


@collector_paused()
def read_labels(
    path: Path,
    findings: Sequence[str] = (),
    reading: TableReading = TableReading(),
    *,
    with_others: bool = False,
) -> LabelTable:
    """Read a label table of NIH's, of another collection, or of one's own.

    Args:
        path: the table.
        findings: findings that it must have; all that it has are read.
        reading: kind, views, patients, columns and label policy.
        with_others: whether other tables of its collection in the same folder are read too.

    Raises:
        DataError: see ``read_table`` and the collections' modules; also a table of another kind
            than the one named, no row of the views that are kept, a missing finding.
    """
    collection = _collection(path, reading.dataset.kind)
    if collection is None:
        read = read_label_table(path, findings, reading.dataset, reading.labels)
        return with_views(read, reading.dataset.views or _NOT_ASIDE)
    if reading.dataset.image_from != "table":
        raise DataError(
            f"{collection.title}'s table names files",
            where=f"dataset.image_from = {reading.dataset.image_from!r} ({path.name})",
            remedy="Leave dataset.image_from out.",
        )
    table = read_table(path, collection.wants)
    settings = ReadingSettings(tuple(findings), reading.labels.readers, with_others)
    rows = collection.read(table, settings)
    _refuse_missing(findings, rows.findings, table, collection)
    kept = reading.dataset.views or collection.views or _NOT_ASIDE
    return with_views(_label_table(rows, table, collection, reading), kept)


def _collection(path: Path, kind: str | None) -> Collection | None:
    header = header_of(path)
    found = collection_of(header)
    if kind is None:
        return found
    wanted = collection_named(kind)
    may_be_own = kind == "table" or (kind == "nih" and found is None)
    if may_be_own or (wanted and wanted.recognises(header)):
        return wanted
    what = "no known collection's" if found is None else f"{found.title}'s"
    raise DataError(
        f"dataset.kind is {kind}, but the table's header is {what}",
        where=path,
        why=f"Its columns are {', '.join(header[:8])[:200]}; read as another's they would give "
        "false labels",
        remedy="Name the right table as dataset.labels, or leave dataset.kind out.",
    )


def _refuse_missing(
    wanted: Sequence[str], there: Sequence[str], table: TextTable, collection: Collection
) -> None:
    missing = [finding for finding in wanted if finding not in there]
    if missing:
        raise DataError(
            f"{collection.title} has no labels of {', '.join(missing)}",
            where=table.path,
            remedy=f"Set dataset.findings to some of: {', '.join(there)}.",
        )


def _label_table(
    rows: Rows, table: TextTable, collection: Collection, reading: TableReading
) -> LabelTable:
    images = list(rows.images)
    _refuse_unsafe(images, rows.where)
    policy = collection.policy.with_settings(reading.labels)
    labels_NA, train_NA = labels_of_states(rows.states_NA, images, rows.findings, policy)
    if rows.train_shares_NA is not None:
        has_share_NA = ~np.isnan(rows.train_shares_NA)
        train_NA = labels_NA.copy() if train_NA is None else train_NA
        train_NA[has_share_NA] = rows.train_shares_NA[has_share_NA]
    patients = _patients(rows, reading.dataset.patient_from)
    known = patients.cells is not None
    patients_N, names = read_patients(patients.cells or images, rows.where, numbers_only=False)
    read = LabelTable(
        path=table.path,
        version=collection.title,
        label_version=collection.title,
        kind=collection.kind,
        images_N=np.array(images, dtype=object),
        patients_N=patients_N,
        patient_names=names if known else {},
        patients_are_known=known,
        patients_of=patients.of,
        patients_from_header=reading.dataset.patient_from == "dicom",
        findings=rows.findings,
        labels_NA=labels_NA,
        train_labels_NA=train_NA,
        states_NA=rows.states_NA,
        policy=policy,
        studies_N=None if rows.studies is None else numbered(rows.studies),
        age_years_N=rows.age_years_N,
        sex_N=rows.sex_N,
        view_N=rows.view_N,
        official_N=rows.official_N,
        counts=(*rows.counts, *patients.counts),
        digest=table.digest,
        other_digests=rows.digests,
        files=rows.files,
        notes=(
            *rows.notes,
            *patients.notes,
            f"Terms of {collection.title}: {collection.licence}.",
        ),
        labels_note=collection.labels_note,
    )
    return read if len(set(images)) == len(images) else without_twins(read, rows.where)


@dataclass(frozen=True)
class _Patients:
    """The text that names each image's patient; None: each image counts as its own."""

    cells: Sequence[str] | None
    of: str = ""
    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()


_TOO_MANY_OF_ONE = 10
"""From so many rows on, one patient for all of them is a word such as ``ANONYMOUS``."""

_EACH_ITS_OWN = "Patients are unknown: each image counts as its own patient."


def _patients(rows: Rows, patient_from: str) -> _Patients:
    """The patients that the tables name, or what takes their place where they name none."""
    if patient_from in ("table", "image"):
        if rows.patients is None:
            return _Patients(None, notes=(_EACH_ITS_OWN,))
        if len(rows.images) >= _TOO_MANY_OF_ONE and len(set(rows.patients)) == 1:
            reason = f"every row names the patient {rows.patients[0].strip()[:60]!r}, which is none"
            count = count_of(reason, rows.images)
            return _Patients(None, counts=(count,), notes=(_EACH_ITS_OWN,))
        told = "Patients are the tables' own: dataset.patient_from = 'image' is not needed."
        return _Patients(rows.patients, rows.patients_of, (), (told,) * (patient_from == "image"))
    if patient_from == "dicom":
        return _Patients(None)
    if patient_from == "study":
        if rows.studies is None:
            raise DataError("the table names no study", where="dataset.patient_from = 'study'")
        return _Patients(rows.studies)
    return _Patients(patients_of_names(rows.images, patient_from))


def _refuse_unsafe(images: Sequence[str], where: Callable[[int], str]) -> None:
    unsafe = unsafe_name(images)
    if unsafe:
        raise DataError(
            f"the file name {unsafe.name!r} contains {unsafe.holds}",
            where=where(unsafe.row),
            why="A name in a table must not lead out of the folder of images",
            remedy="Correct the row, or fetch the table again.",
        )


def with_views(read: LabelTable, kept: Sequence[str]) -> LabelTable:
    """The rows of these views; the others are counted by view. Without views, headers may say.

    Raises:
        DataError: none is left.
    """
    read = replace(read, kept_views=tuple(kept))
    if read.view_N is None:
        return read
    views_N = np.where(read.view_N == "", "unknown", read.view_N)
    kept_N = np.isin(views_N, kept)
    if kept_N.all():
        return read
    if not kept_N.any():
        there = ", ".join(sorted(set(views_N.tolist())))
        raise DataError(
            f"no image has one of the views {', '.join(kept)}",
            where=read.path,
            remedy=f"The table's views are {there}: choose with dataset.views.",
        )
    counts = [
        count_of(f"{view} view left out (dataset.views)", read.images_N[views_N == view])
        for view in sorted(set(views_N[~kept_N].tolist()))
    ]
    return replace(read.take(np.flatnonzero(kept_N)), counts=(*read.counts, *counts))
