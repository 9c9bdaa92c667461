"""The lines and cells of a predictions CSV; errors name the line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import DataError
from core.findings import ABSENT, PRESENT
from core.regular_file import open_regular

IMAGE_COLUMN = "Image Index"
PATIENT_COLUMN = "Patient ID"
SOURCE_COLUMN = "source"
SCORE_PREFIX = "prob_"
UNKNOWN_PATIENT = -1
_PATIENTS_BELOW = 2**53  # as in label tables, which also number names


def score_cell(cell: str, where: str, column: str) -> float:
    """A finite number, or a DataError that names line and column."""
    try:
        # Python reads 1_0 as 10; other tools don't.
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = repr(cell[:40]) if cell.strip() else "empty"
        raise DataError(
            f"{column!r} is {found}, not a finite number",
            where=where,
            why="An image without a score can't be ranked",
            remedy=_remedy_for_score(cell.strip()),
        )
    return value


_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?"
_NUMBER_IN_CODE = re.compile(
    rf"[\w.]*[(\[]+\s*({_NUMBER})\s*(?:[)\]]|,\s*[a-z].*[)\]])+", re.ASCII | re.IGNORECASE
)


def _remedy_for_score(text: str) -> str:
    """A remedy for a cell that is not a score, by its look."""
    in_code = _NUMBER_IN_CODE.fullmatch(text[:200])
    if in_code:
        return f"Write the number alone, {in_code[1]}: in Python, float(score) before it is saved."
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text, re.ASCII):
        return f"Use a decimal point: {text.replace(',', '.')[:40]}."
    if re.fullmatch(rf"{_NUMBER}\s*%", text, re.ASCII):
        return "Write the number without its percent sign."
    if re.fullmatch(r"[+-]?(inf|infinity)", text, re.IGNORECASE):
        return "Write a probability or a finite logit: an infinite one is a logit that overflowed."
    if text.casefold() in ("", "nan", "none", "null", "na"):
        return "Leave the row out if the image was not scored."
    return "Write one number, such as 0.91."


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
