"""The cells of a predictions CSV: which column is whose score, and every refusal by line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import DataError
from core.findings import ABSENT, PRESENT, canonical_finding, did_you_mean
from core.regular_file import open_regular
from core.store.harmless_cells import original

IMAGE_COLUMN = "Image Index"
PATIENT_COLUMN = "Patient ID"
SCORE_PREFIX = "prob_"
UNKNOWN_PATIENT = -1
_NEAREST_OF = 100  # columns; with thousands of them it would take minutes
_PATIENTS_BELOW = 2**53  # as label tables number them, names among them


def find_image_column(path: Path, header: list[str]) -> int:
    """Position of the column that names images.

    Raises:
        DataError: there is none; the message lists what was found.
    """
    for position, name in enumerate(header):
        if name.strip().casefold() == IMAGE_COLUMN.casefold():
            return position
    found = ", ".join(repr(name[:40]) for name in header[:20])
    raise DataError(
        f"no column {IMAGE_COLUMN!r}; found {found}",
        where=f"{path} line 1",
        why="Scores are joined to labels by the image's file name",
        remedy=f"Name that column {IMAGE_COLUMN!r}, and separate columns by commas.",
    )


def find_score_columns(
    path: Path, header: list[str], image_column: int, findings: Sequence[str]
) -> tuple[dict[str, int], list[str]]:
    """Finding -> the column of its score, and the names of the columns that are nothing to us.

    Raises:
        DataError: no column is a finding's score, or two columns are the same finding's.
    """
    with_prefix: dict[str, int] = {}
    bare: dict[str, int] = {}
    ignored: list[str] = []
    for position, name in enumerate(header):
        if position == image_column or name.strip().casefold() == PATIENT_COLUMN.casefold():
            continue
        is_score = name.strip().casefold().startswith(SCORE_PREFIX)
        word = _without_prefix(name)
        finding = word if word in findings else canonical_finding(word)
        if finding is None or finding not in findings:
            ignored.append(name)
            continue
        columns = with_prefix if is_score else bare
        if finding in columns:
            raise DataError(
                f"columns {header[columns[finding]]!r} and {name!r} are both {finding}",
                where=f"{path} line 1",
                remedy="Keep one of them.",
            )
        columns[finding] = position
    if not with_prefix and not bare:
        asked = (did_you_mean(_without_prefix(name), findings) for name in ignored[:_NEAREST_OF])
        nearest = next(filter(None, asked), "")
        raise DataError(
            f"no column {SCORE_PREFIX}<Finding> or <Finding> for a finding of the label table",
            where=f"{path} line 1",
            why=f"Its columns are {', '.join(repr(name[:40]) for name in header[:20])}",
            remedy=f"{nearest} Findings are {', '.join(findings)}.".strip(),
        )
    return bare | with_prefix, ignored


def _without_prefix(name: str) -> str:
    word = name.strip()
    return word[len(SCORE_PREFIX) :] if word.casefold().startswith(SCORE_PREFIX) else word


def scores_by_image(
    path: Path,
    lines: Iterator[tuple[int, list[str]]],
    header: list[str],
    image_column: int,
    score_columns: dict[str, int],
) -> tuple[dict[str, list[float]], int]:
    """Image -> its scores in the order of ``score_columns``, and how many equal rows repeat.

    Raises:
        DataError: an image without a name, a score that is no finite number, or two rows of one
            image that differ.
    """
    scores_of: dict[str, list[float]] = {}
    line_of: dict[str, int] = {}
    repeated = 0
    for line, row in lines:
        where = f"{path} line {line}"
        name = original(row[image_column].strip())
        if not name:
            raise DataError(f"{IMAGE_COLUMN} is empty", where=where)
        scores = [
            score_cell(row[column], where, header[column]) for column in score_columns.values()
        ]
        if name not in scores_of:
            scores_of[name], line_of[name] = scores, line
        elif scores_of[name] == scores:
            repeated += 1
        else:
            raise DataError(
                f"image {name!r} has other scores than on line {line_of[name]}",
                where=where,
                why="It can't be told which of them is meant",
                remedy="Keep one row an image (the mean, where these are several crops).",
            )
    return scores_of, repeated


def score_cell(cell: str, where: str, column: str) -> float:
    """A finite number, or a DataError that names line and column."""
    try:
        # Python reads 1_0 as 10; no other tool does.
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = repr(cell[:40]) if cell.strip() else "empty"
        raise DataError(
            f"{column!r} is {found}, not a finite number",
            where=where,
            why="An image without a score can't be ranked",
            remedy="Leave the row out if the image was not scored.",
        )
    return value


def label_cell(cell: str, where: str) -> float:
    """1, 0 or NaN for an empty cell."""
    labels = {"": math.nan, "0": ABSENT, "1": PRESENT}
    if cell not in labels:
        raise DataError(f"a label is {cell[:40]!r}; it can be 1, 0 or empty", where=where)
    return labels[cell]


def patient_cell(cell: str, where: str) -> int:
    """A patient number; unknown for an empty cell."""
    if not cell:
        return UNKNOWN_PATIENT
    try:
        patient = int(cell)
    except ValueError:
        patient = -1
    if not 0 <= patient < _PATIENTS_BELOW:
        raise DataError(f"{PATIENT_COLUMN} is {cell[:40]!r}, not a patient's number", where=where)
    return patient


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header, then each row with its line number; every row is as wide as the header.

    Raises:
        DataError: the file is missing, empty, not UTF-8 or not CSV, or has a ragged row.
    """
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if not header:
                raise DataError("the file is empty or starts with an empty line", where=path)
            yield 1, header
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{len(row)} fields where the header has {len(header)}",
                        where=f"{path} line {reader.line_num}",
                    )
                yield reader.line_num, row
    except OSError as error:
        raise DataError(error.strerror or "can't be read", where=path) from error
    except UnicodeDecodeError as error:
        raise DataError("not text in UTF-8", where=path, remedy="Save it as CSV, UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"not a CSV file ({error})", where=path) from error
