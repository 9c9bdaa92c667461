"""Radiologists' labels of NIH images (Majkowska 2019, Nabulsi 2021), handed out by Google.

Some of the tables repeat NIH's own columns, mined ``Finding Labels`` among them: the experts' own
columns tell them from NIH's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.data.collections.collection import (
    Collection,
    ReadingSettings,
    Rows,
    distinct_rows,
    named_in,
)
from core.data.collections.readers import RULES, Votes, joined_readers
from core.data.collections.stacked import stacked
from core.data.tables.cell_columns import distinct_cells
from core.data.tables.cells import read_ages, read_sexes, views_of
from core.data.tables.column_names import folded
from core.data.tables.labels import positions_of
from core.data.tables.states import ABSENT, PRESENT, UNCERTAIN, UNKNOWN, LabelPolicy, States
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError
from core.findings import FINDINGS, NO_FINDING

_FOUR = {
    "fracture": "Fracture",
    "pneumothorax": "Pneumothorax",
    "airspaceopacity": "Lung Opacity",
    "noduleormass": "Nodule or Mass",
    "nodulemass": "Nodule or Mass",
}
_ABNORMAL = "abnormal"
_ALL = {folded(name): name for name in FINDINGS} | {_ABNORMAL: NO_FINDING, "other": "Other"}
_WORDS = {"YES": PRESENT, "NO": ABSENT, "HEDGE": UNCERTAIN, "": UNKNOWN}
_NUMBERS = {"1": ABSENT, "0": PRESENT, "": UNKNOWN}
"""``Abnormal`` = 1 is the absence of ``No Finding``."""

_PREFIX = "four_findings_expert_labels_"
_PARTS = ("validation_labels.csv", "test_labels.csv")


def _recognises(header: Sequence[str]) -> bool:
    names = {folded(name) for name in header}
    four = {"fracture", "pneumothorax", "airspaceopacity"} <= names
    four &= not names.isdisjoint({"noduleormass", "nodulemass"})
    every = {_ABNORMAL, "infiltration", "hernia", "other"} <= names
    return (four or every) and "patientid" in names and not names.isdisjoint(_IMAGE)


_IMAGE = ("imageindex", "imageid")


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    tables = [table]
    if settings.with_others:
        tables += _other_parts(table)
    read = [_rows_of(each, settings.readers) for each in tables]
    return read[0] if len(read) == 1 else stacked(read, tables)


def _other_parts(table: TextTable) -> list[TextTable]:
    """The table of the other part of the same findings, in the same folder."""
    found = []
    names = (*_PARTS, *(_PREFIX + name for name in _PARTS))
    for path in named_in(table.path.parent, *names):
        if path != table.path:
            other = read_table(path)
            if _recognises(other.header) and set(_columns(other)) == set(_columns(table)):
                found.append(other)
    return found


def _columns(table: TextTable) -> Mapping[str, int]:
    """Finding -> its column.

    Raises:
        DataError: two columns for a finding.
    """
    known = _ALL if _ABNORMAL in map(folded, table.header) else _FOUR
    return positions_of(table, lambda name: known.get(folded(name)))


def _rows_of(table: TextTable, rule: str) -> Rows:
    column = {folded(name): cells for name, cells in zip(table.header, table.columns, strict=True)}
    cells = [cell.strip() for cell in next(column[name] for name in _IMAGE if name in column)]
    position_of = _columns(table)
    states_RA, marked = _states(table, position_of, cells)
    counts = [*table.counts, *marked]
    has_readers = "readerid" in column
    shares_NA = None
    if has_readers:
        images, first_rows, image_R = distinct_rows(cells)

        def votes(counted_RA: np.ndarray) -> Votes:
            votes_NA = np.zeros((len(images), len(position_of)), dtype=np.int64)
            np.add.at(votes_NA, image_R, counted_RA.astype(np.int64))
            return votes_NA

        present_NA, absent_NA = votes(states_RA == PRESENT), votes(states_RA == ABSENT)
        states_NA, shares_NA = joined_readers(
            present_NA, absent_NA, votes(states_RA != UNKNOWN), rule
        )
    else:
        images, first_rows, states_NA = cells, np.arange(len(cells)), states_RA

    def of_images(name: str) -> list[str] | None:
        return [column[name][row] for row in first_rows] if name in column else None

    ages, views = of_images("patientage"), of_images("viewposition")
    sexes = of_images("patientgender") or of_images("patientsex")
    read_age = None if ages is None else read_ages(ages, images)
    read_sex = None if sexes is None else read_sexes(sexes, images)
    for read in (read_age, read_sex):
        counts += () if read is None else read.counts
    return Rows(
        images=images,
        patients=of_images("patientid"),
        findings=tuple(position_of),
        states_NA=states_NA,
        where=lambda row: table.where(int(first_rows[row])),
        age_years_N=None if read_age is None else read_age.values_N,
        sex_N=None if read_sex is None else read_sex.values_N,
        view_N=None if views is None else views_of(views),
        official_N=_parts(table.path, of_images("setid"), len(images)),
        train_shares_NA=shares_NA,
        counts=tuple(counts),
        patients_of="nih",
        notes=(f"A finding is present where {RULES[rule]} (labels.readers = {rule!r}).",)
        if has_readers
        else (),
    )


def _states(
    table: TextTable, position_of: Mapping[str, int], images: Sequence[str]
) -> tuple[States, list[Count]]:
    """States by finding; ``NO^`` of one circulating copy is ``NO``, and counted.

    Raises:
        DataError: a cell that is none of the known ones.
    """
    columns, marked = [], []
    for position in position_of.values():
        cells = table.columns[position]
        known = _NUMBERS if folded(table.header[position]) == _ABNORMAL else _WORDS
        state_of: dict[str, int] = {}
        for cell in distinct_cells(cells):
            word = cell.strip().upper()
            if word.endswith("^"):
                marked += [image for image, own in zip(images, cells, strict=True) if own == cell]
            state = known.get(word.removesuffix("^"))
            if state is None:
                words = ", ".join(word or "nothing" for word in known)
                raise DataError(
                    f"{table.header[position]} is {cell[:60]!r}; this table's words are {words}",
                    where=table.where(cells.index(cell)),
                    why="A state that is guessed would be a false label",
                    remedy="Correct the cell, or fetch the table again.",
                )
            state_of[cell] = state
        columns.append(np.fromiter(map(state_of.__getitem__, cells), np.int8, len(cells)))
    counts = [count_of("a mark ^ after the label ignored", marked)] if marked else []
    return np.column_stack(columns), counts


def _parts(path: Path, said: Sequence[str] | None, num_images: int) -> np.ndarray:
    """``val`` or ``test`` of each image, from its row or from the file's name."""
    if said is not None:
        part_of = {"val": "val", "validation": "val", "test": "test"}
        return np.array([part_of.get(cell.strip().lower(), "") for cell in said], dtype=object)
    name = path.name.lower()
    part = "val" if "validation" in name else "test" if "test" in name else ""
    return np.full(num_images, part, dtype=object)


NIH_EXPERTS = Collection(
    kind="nih-experts",
    title="Expert labels of NIH images",
    licence="handed out by Google through a form; the read-me is CC-BY",
    table_names=(
        *(*_PARTS, *(_PREFIX + name for name in _PARTS)),
        "all_findings_expert_labels_test_labels.csv",
    ),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(source="not adjudicated is unknown"),
    labels_note="Radiologists labelled the images and adjudicated where they differed.",
)
