"""CheXpert (Stanford): train, valid and test tables, in any of its editions.

Sources of the format: Irvin 2019, arXiv 1901.07031, and the published tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data.collections.cells import CHEXPERT_CELLS, states_by_name
from core.data.collections.chexpert_plus import read_plus, recognises_plus
from core.data.collections.chexpert_rows import (
    FINDINGS,
    ages_and_sexes,
    parts_of_paths,
    views_in,
)
from core.data.collections.collection import Collection, ReadingSettings, Rows
from core.data.collections.stacked import stacked
from core.data.tables.label_columns import FileNames
from core.data.tables.states import LabelPolicy
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError

_TRAIN, _VALID, _TEST = "train.csv", "valid.csv", "test_labels.csv"
_PLUS = "df_chexpert_plus_240401.csv"
_PARTS_BESIDE = {
    "valid": (_VALID, "val_labels.csv", "CheXpert/val_labels.csv"),
    "test": ("test.csv", _TEST, "CheXpert/test_labels.csv", "groundtruth.csv"),
}


def _recognises(header: Sequence[str]) -> bool:
    names = set(header)
    if recognises_plus(header):
        return True
    return header[0] == "Path" and {"No Finding", "Pleural Other", "Support Devices"} <= names


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    if recognises_plus(table.header):
        return read_plus(table, settings)
    tables = [table]
    if settings.with_others:
        tables += [other for other in _beside(table.path) if other.digest != table.digest]
    read = [_rows_of(each) for each in tables]
    return read[0] if len(read) == 1 else stacked(read, tables)


def _beside(path: Path) -> list[TextTable]:
    """The other parts' tables in the folder, and in that of another batch next to it."""
    found = []
    for names in _PARTS_BESIDE.values():
        there = next((path.parent / name for name in names if (path.parent / name).is_file()), None)
        if there is not None:
            other = read_table(there)
            if not _recognises(other.header):
                raise DataError(
                    "is not a table of CheXpert's",
                    where=there,
                    why="A folder with CheXpert's train.csv holds its other tables under this name",
                    remedy=f"Move it away, or name the one table: dataset.labels={path}",
                )
            found.append(other)
    return found


def _rows_of(table: TextTable) -> Rows:
    column = dict(zip(table.header, table.columns, strict=True))
    editions, images, folders, ends, studies, patients = parts_of_paths(table, column["Path"])
    findings, states_NA = states_by_name(table, FINDINGS, CHEXPERT_CELLS)
    counts = [*table.counts, *_other_editions(editions, images)]
    ages_N, sexes_N = ages_and_sexes(column.get("Age"), column.get("Sex"), images, counts)
    return Rows(
        images=images,
        patients=patients,
        findings=findings,
        states_NA=states_NA,
        where=table.where,
        studies=studies,
        age_years_N=ages_N,
        sex_N=sexes_N,
        view_N=views_in(column.get("AP/PA"), column.get("Frontal/Lateral"), images),
        official_N=np.full(len(images), _part_of(table.path, set(folders)), dtype=object),
        # Batches have no train/ above the patient, and valid/ may be val/ on disk. The parts'
        # patients differ, so the path from the patient on is unique.
        files=FileNames(dict(zip(ends, images, strict=True))),
        counts=tuple(counts),
        patients_of="chexpert",
    )


def _other_editions(editions: Sequence[str], images: Sequence[str]) -> list[Count]:
    """Rows of less frequent editions: a table of CheXpert's names one alone."""
    (usual, _), *others = Counter(editions).most_common()
    names = np.array(images, dtype=object)
    editions_N = np.array(editions, dtype=object) if others else names
    return [
        count_of(
            f"row of {other or 'no edition'} in a table of {usual or 'none'}",
            names[editions_N == other],
        )
        for other, _ in others
    ]


def _part_of(path: Path, folders: set[str]) -> str:
    """The official part of a table's rows: valid is where the published scores were measured."""
    if folders == {""}:
        folders = {path.name.partition("_")[0].partition(".")[0]}
    return {"train": "train", "test": "test"}.get(next(iter(folders)), "valid")


_NOT_READ = ("report", "section_findings", "section_impression", "path_to_dcm", "race", "ethnicity")
"""Columns of CheXpert Plus's, whole reports among them."""

CHEXPERT = Collection(
    kind="chexpert",
    title="CheXpert",
    licence="Stanford's research use agreement: no redistribution, no commercial use",
    table_names=(*(_TRAIN, _VALID, _TEST, "val_labels.csv", "CheXpert/val_labels.csv"), _PLUS),
    recognises=_recognises,
    read=_read,
    # Irvin 2019 compares policies; code that reports a single number mostly takes ones for
    # uncertain and absent for blank.
    policy=LabelPolicy("ones", "absent", "Irvin 2019: U-Ones, not mentioned as absent"),
    wants=lambda name: name not in _NOT_READ,
)
