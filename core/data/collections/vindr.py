"""VinDr-CXR: boxes (Kaggle, PhysioNet) or labels of whole images (PhysioNet), by several readers.

Sources of the format: Nguyen 2022, Scientific Data, and the published tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data.collections.cells import NUMBERS, column_states
from core.data.collections.collection import (
    Collection,
    Corners,
    DrawnBoxes,
    ReadingSettings,
    Rows,
    box_corners,
    distinct_rows,
    named_in,
)
from core.data.collections.readers import RULES, Votes, joined_readers
from core.data.collections.stacked import stacked
from core.data.tables.column_names import folded
from core.data.tables.label_columns import FileNames
from core.data.tables.labels import positions_of
from core.data.tables.states import PRESENT, LabelPolicy
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError
from core.findings import NO_FINDING

BOXED = (
    *("Aortic Enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD"),
    *("Infiltration", "Lung Opacity", "Nodule or Mass", "Other Lesion", "Effusion"),
    *("Pleural_Thickening", "Pneumothorax", "Fibrosis"),
)
"""Kaggle's 14, in the order of its class numbers; 14 is ``No finding``."""

BOXED_BY_PHYSIONET = (
    *("Clavicle Fracture", "Edema", "Emphysema", "Enlarged PA", "Lung Cavity", "Lung Cyst"),
    *("Mediastinal Shift", "Rib Fracture"),
)
OF_WHOLE_IMAGES = ("COPD", "Lung Tumor", "Pneumonia", "Tuberculosis", "Other Disease")

_OTHER_NAMES = {
    "nodulemass": "Nodule or Mass",
    "pleuraleffusion": "Effusion",
    "pulmonaryfibrosis": "Fibrosis",
    "otherdiseases": "Other Disease",
}
_FINDING_OF = {
    folded(name): name for name in (*BOXED, *BOXED_BY_PHYSIONET, *OF_WHOLE_IMAGES, NO_FINDING)
} | _OTHER_NAMES
_WHOLE_TABLES = ("image_labels_train.csv", "image_labels_test.csv")
_ZERO_OR_ONE = {cell: state for cell, state in NUMBERS.items() if cell}


def _recognises(header: Sequence[str]) -> bool:
    names = set(header)
    is_boxes = {"class_name", "x_min", "y_max"} <= names
    is_whole = {"Aortic enlargement", "ILD", "Pleural thickening"} <= names
    return "image_id" in names and (is_boxes or is_whole)


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    tables = [table]
    if settings.with_others and "class_name" not in table.header:
        beside = (each for name in _WHOLE_TABLES for each in named_in(table.path.parent, name))
        others = map(_checked, beside)
        tables += [other for other in others if other.digest != table.digest]
    read = [_rows_of(each, settings.readers) for each in tables]
    return read[0] if len(read) == 1 else stacked(read, tables)


def _checked(path: Path) -> TextTable:
    table = read_table(path)
    if not _recognises(table.header):
        raise DataError(
            "is not a table of VinDr-CXR's",
            where=path,
            why="A folder with its image labels holds those of the other part under this name",
            remedy="Move it away, or name the one table as dataset.labels.",
        )
    return table


def _rows_of(table: TextTable, rule: str) -> Rows:
    column = dict(zip(table.header, table.columns, strict=True))
    images, first_rows, image_R = distinct_rows([cell.strip() for cell in column["image_id"]])
    readers_R = _readers(column, len(image_R))
    pairs = np.unique(np.stack([image_R, readers_R]), axis=1)
    readers_N = np.bincount(pairs[0], minlength=len(images))
    if "class_name" in column:
        findings, present_NA = _votes_of_boxes(table, column, image_R, readers_R, len(images))
    else:
        findings, present_NA = _votes_of_columns(table, image_R, readers_R, len(images))
    states_NA, shares_NA = joined_readers(
        present_NA, readers_N[:, None] - present_NA, readers_N[:, None], rule
    )
    has_readers = "rad_id" in column
    return Rows(
        images=images,
        patients=None,
        findings=findings,
        states_NA=states_NA,
        where=lambda row: table.where(int(first_rows[row])),
        view_N=np.full(len(images), "PA", dtype=object),
        official_N=np.full(len(images), "train" if has_readers else "test", dtype=object),
        train_shares_NA=shares_NA if has_readers else None,
        files=FileNames({image: image for image in images}),
        counts=(*table.counts, *_counts(images, present_NA, readers_N, findings)),
        notes=(f"A finding is present where {RULES[rule]} (labels.readers = {rule!r}).",)
        if has_readers
        else ("Labels of the test part are the consensus of five radiologists.",),
    )


_BOX_TABLES = ("annotations_train.csv", "annotations_test.csv")


def _boxes(path: Path) -> DrawnBoxes:
    """Every reader's boxes, in pixels of the original: of the label table itself, or, where that
    one is of whole images, of PhysioNet's box tables beside it."""
    tables = [read_table(path)]
    if "class_name" not in tables[0].header:
        beside = (each for name in _BOX_TABLES for each in named_in(path.parent, name))
        tables = [table for table in map(read_table, beside) if "class_name" in table.header]
    images: list[str] = []
    findings: list[str] = []
    at: list[Corners] = [np.empty((0, 4))]
    for table in tables:
        column = dict(zip(table.header, table.columns, strict=True))
        names = [_FINDING_OF.get(folded(name)) for name in column["class_name"]]
        rows = [row for row, name in enumerate(names) if name not in (None, NO_FINDING)]
        corners_B4 = box_corners(table, ("x_min", "y_min", "x_max", "y_max"), rows)
        corners_B4[:, 2:] -= corners_B4[:, :2]
        at.append(corners_B4)
        images += [column["image_id"][row].strip() for row in rows]
        findings += [str(names[row]) for row in rows]
    return DrawnBoxes(images, findings, np.concatenate(at), frame_px=None)


def _readers(column: dict[str, Sequence[str]], num_rows: int) -> np.ndarray:
    """A number for the reader of each row; one and the same for a consensus."""
    if "rad_id" not in column:
        return np.zeros(num_rows, dtype=np.intp)
    return distinct_rows([cell.strip() for cell in column["rad_id"]])[2]


def _votes_of_boxes(
    table: TextTable,
    column: dict[str, Sequence[str]],
    image_R: np.ndarray,
    readers_R: np.ndarray,
    num_images: int,
) -> tuple[tuple[str, ...], Votes]:
    """How many readers of each image drew a box of each finding, or said that there is none.

    Raises:
        DataError: an unknown class, or a class number that is another's.
    """
    is_kaggle = "class_id" in column
    findings = (*BOXED, *(() if is_kaggle else BOXED_BY_PHYSIONET), NO_FINDING)
    place_of: dict[str, int] = {}
    for name in dict.fromkeys(column["class_name"]):
        finding = _FINDING_OF.get(folded(name))
        if finding not in findings:
            raise DataError(
                f"class_name is {name[:60]!r}, which is none of VinDr-CXR's",
                where=table.where(column["class_name"].index(name)),
                remedy="Correct the row, or fetch the table again.",
            )
        place_of[name] = findings.index(finding)
    if is_kaggle:
        _check_numbers(table, column, place_of)
    finding_R = np.fromiter(map(place_of.__getitem__, column["class_name"]), np.intp, len(image_R))
    said = np.unique(np.stack([image_R, readers_R, finding_R]), axis=1)
    votes_NA = np.zeros((num_images, len(findings)), dtype=np.int64)
    np.add.at(votes_NA, (said[0], said[2]), 1)
    return findings, votes_NA


def _check_numbers(
    table: TextTable, column: dict[str, Sequence[str]], place_of: dict[str, int]
) -> None:
    pairs = zip(column["class_name"], column["class_id"], strict=True)
    for name, number in dict.fromkeys(pairs):
        if number.strip() != str(place_of[name]):
            names, numbers = column["class_name"], column["class_id"]
            rows = range(len(names))
            row = next(row for row in rows if (names[row], numbers[row]) == (name, number))
            raise DataError(
                f"class_id is {number!r} beside {name!r}, whose number is {place_of[name]}",
                where=table.where(row),
                why="There is no way to tell which of the two is meant",
                remedy="Correct the row, or fetch the table again.",
            )


def _votes_of_columns(
    table: TextTable, image_R: np.ndarray, readers_R: np.ndarray, num_images: int
) -> tuple[tuple[str, ...], Votes]:
    """How many readers of each image put a 1 for each finding.

    Raises:
        DataError: a cell other than 1 and 0, two columns for a finding, or two rows of one reader
            for an image that differ.
    """
    position_of = positions_of(table, lambda name: _FINDING_OF.get(folded(name)))
    states_RA = np.column_stack(
        [column_states(table, position, _ZERO_OR_ONE) for position in position_of.values()]
    )
    pair_R = image_R * (readers_R.max() + 1) + readers_R
    _, first_P, pair_R = np.unique(pair_R, return_index=True, return_inverse=True)
    differing = np.flatnonzero((states_RA != states_RA[first_P[pair_R]]).any(axis=1))
    if differing.size:
        row = int(differing[0])
        first = table.line(int(first_P[pair_R[row]]))
        raise DataError(
            f"the same reader labelled the image otherwise on line {first}",
            where=table.where(row),
            remedy="Remove the wrong row, or fetch the table again.",
        )
    votes_NA = np.zeros((num_images, len(position_of)), dtype=np.int64)
    np.add.at(votes_NA, image_R[first_P], (states_RA[first_P] == PRESENT).astype(np.int64))
    return tuple(position_of), votes_NA


def _counts(
    images: Sequence[str], present_NA: Votes, readers_N: np.ndarray, findings: Sequence[str]
) -> list[Count]:
    names_N = np.array(images, dtype=object)
    differ_N = ((present_NA > 0) & (present_NA < readers_N[:, None])).any(axis=1)
    nothing_N = present_NA[:, list(findings).index(NO_FINDING)] > 0
    found_N = np.delete(present_NA, list(findings).index(NO_FINDING), axis=1).sum(axis=1) > 0
    both_N = nothing_N & found_N & (readers_N == 1)
    counts = []
    for reason, named_N in (
        ("images on which readers differ", differ_N),
        ("No finding beside a finding of the same reader", both_N),
        ("images without three readers", (readers_N != 3) & (readers_N > 1)),
    ):
        if named_N.any():
            counts.append(count_of(reason, names_N[named_N]))
    return counts


VINDR = Collection(
    kind="vindr",
    title="VinDr-CXR",
    licence="PhysioNet's credentialed data use agreement, or Kaggle's rules: no redistribution",
    table_names=(*_WHOLE_TABLES, "train.csv", "annotations_train.csv", "annotations_test.csv"),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(blank="absent", source="no box is absent"),
    boxes=_boxes,
    labels_note="Radiologists labelled the images: three each in train, a consensus of five in "
    "test.",
)
