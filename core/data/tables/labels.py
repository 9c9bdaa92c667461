"""What a label table says of each finding, whether in one column of words or in one a finding."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, says_nothing
from core.errors import DataError
from core.findings import (
    ABSENT,
    FINDINGS,
    NO_FINDING,
    PRESENT,
    canonical_finding,
    did_you_mean,
    finding_columns,
)

_WORDS = {"true": 1, "yes": 1, "y": 1, "t": 1, "false": 0, "no": 0, "n": 0, "f": 0}
_PLAIN_NUMBER = re.compile(r"\+?[0-9]{1,9}(\.[0-9]{0,30})?", re.ASCII)
_SEPARATORS = re.compile(r"\s*[,;/&+]\s*|\s+and\s+")


def folded(name: str) -> str:
    """A column's or label's name without case, blanks and punctuation, to compare it by."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def missing_column(table: TextTable, what: str, remedy: str = "") -> DataError:
    """The error for a column that a table lacks; it lists the columns found."""
    found = ", ".join(repr(name) for name in table.header[:30])
    mark = next((mark for mark in (";", "\t") if mark in table.header[0]), None)
    if mark:
        remedy = f"The columns seem to be parted by {mark!r}: save the table with commas."
    return DataError(
        f"no column {what}; found {found}",
        where=table.path,
        remedy=remedy or "Rename the column that holds it, or name another table.",
    )


def labels_of_words(
    table: TextTable, position: int, images: Sequence[str]
) -> tuple[npt.NDArray[np.float32], tuple[Count, ...]]:
    """Labels over all 14 findings from cells such as ``Mass|Nodule`` or ``No Finding``.

    Returns:
        N images × 14 findings, 1 present, 0 absent; and what was repaired.

    Raises:
        DataError: an unknown finding, ``No Finding`` beside a finding, an empty cell.
    """
    cells = table.columns[position]
    column_of = finding_columns(FINDINGS)
    # The full NIH table has 836 distinct cells: each is taken apart once.
    code_of = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    labels_CA = np.full((len(code_of), len(FINDINGS)), ABSENT, dtype=np.float32)
    respelled: set[str] = set()
    for cell, code in code_of.items():
        words = [word.strip() for word in cell.split("|")]
        if len(words) == 1 and folded(words[0]) == folded(NO_FINDING):
            continue
        for word in words:
            finding = canonical_finding(word)
            if finding is None:
                raise _bad_word(cell, word, table.where(cells.index(cell)))
            labels_CA[code, column_of[finding]] = PRESENT
            if finding != word:
                respelled.add(cell)
    codes_N = np.fromiter(map(code_of.__getitem__, cells), np.intp, len(cells))
    if not respelled:
        return labels_CA[codes_N], ()
    names = [image for image, cell in zip(images, cells, strict=True) if cell in respelled]
    return labels_CA[codes_N], (count_of("finding spelled otherwise than by NIH", names),)


def _bad_word(cell: str, word: str, where: str) -> DataError:
    if says_nothing(cell):
        return DataError(
            "the row has no finding label",
            where=where,
            why="Empty could mean unknown or nothing seen",
            remedy=f"Write {NO_FINDING!r} where nothing is seen.",
        )
    if folded(word) == folded(NO_FINDING):
        return DataError(
            f"{cell!r} says {NO_FINDING!r} and a finding at once",
            where=where,
            why="Whichever is wrong would train the network on a false label",
            remedy="Correct the row.",
        )
    parts = [canonical_finding(part) for part in _SEPARATORS.split(word)]
    if len(parts) > 1 and all(parts):
        return DataError(
            f"the findings in {word!r} are not parted by '|'",
            where=where,
            remedy=f"Write {'|'.join(filter(None, parts))}, in this row and in the others.",
        )
    return DataError(
        f"unknown finding {word!r}",
        where=where,
        remedy=did_you_mean(word, (*FINDINGS, NO_FINDING)) or f"Known: {', '.join(FINDINGS)}.",
    )


def labels_of_columns(
    table: TextTable, wanted: Sequence[str]
) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Labels from one column of 1, 0 or nothing a finding.

    Returns:
        The A findings that the table has, in NIH's order; and N images × A findings, 1 present,
        0 absent, NaN unknown.

    Raises:
        DataError: a wanted finding without a column, two columns for one, another value, a 1
            under ``No Finding`` beside a finding.
    """
    position_of, no_finding = _finding_positions(table)
    for finding in wanted:
        if finding not in position_of:
            nearest = did_you_mean(finding, table.header)
            what = repr(finding) if position_of else "'Finding Labels', nor one a finding"
            raise missing_column(table, what, nearest)
    if not position_of:
        raise missing_column(table, "'Finding Labels', nor one a finding")
    findings = tuple(finding for finding in FINDINGS if finding in position_of)
    labels_NA = np.column_stack([_states(table, position_of[name]) for name in findings])
    if no_finding is not None:
        nothing_N = _states(table, no_finding) == PRESENT
        contradicted = np.flatnonzero(nothing_N & (labels_NA == PRESENT).any(axis=1))
        if contradicted.size:
            row = int(contradicted[0])
            found = findings[int(np.argmax(labels_NA[row] == PRESENT))]
            raise _bad_word(f"{NO_FINDING}|{found}", NO_FINDING, table.where(row))
    return findings, labels_NA


def refuse_two_sources(table: TextTable, words: int, labels_NA: npt.NDArray[np.float32]) -> None:
    """A table may say the same in words and in one column a finding, but not two things.

    Args:
        table: the table.
        words: the position of its column of words.
        labels_NA: what that says of all findings.

    Raises:
        DataError: they differ, with how many rows do.
    """
    position_of, _ = _finding_positions(table)
    differs_N = np.zeros(len(labels_NA), dtype=bool)
    first: tuple[int, int] | None = None
    for finding, position in position_of.items():
        cells = table.columns[position]
        state_of = {cell: _state(cell) for cell in dict.fromkeys(cells)}
        # What is neither 1 nor 0 says nothing here: a column may only bear a finding's name.
        states_N = np.array([state_of[cell] for cell in cells], dtype=np.float32)
        differing_N = ~np.isnan(states_N) & (states_N != labels_NA[:, FINDINGS.index(finding)])
        if differing_N.any() and first is None:
            first = int(np.argmax(differing_N)), position
        differs_N |= differing_N
    if first is None:
        return
    row, position = first
    raise DataError(
        f"{table.header[words]!r} says {table.columns[words][row]!r}, and the column "
        f"{table.header[position]!r} beside it {table.columns[position][row].strip()!r}; "
        f"so it is in {differs_N.sum():,} of {len(labels_NA):,} rows",
        where=table.where(row),
        why="It can't be told which of the two is meant",
        remedy="Remove the column that is out of date, or give it another name.",
    )


def _finding_positions(table: TextTable) -> tuple[Mapping[str, int], int | None]:
    """The column of each finding, and that of ``No Finding``."""
    position_of: dict[str, int] = {}
    no_finding = None
    for position, name in enumerate(table.header):
        finding = canonical_finding(name)
        if folded(name) == folded(NO_FINDING):
            no_finding = position
        elif finding in position_of:
            raise DataError(
                f"two columns for {finding}: {table.header[position_of[finding]]!r} and {name!r}",
                where=table.path,
                remedy="Remove one of them.",
            )
        elif finding:
            position_of[finding] = position
    return position_of, no_finding


def _states(table: TextTable, position: int) -> npt.NDArray[np.float32]:
    cells = table.columns[position]
    state_of: dict[str, float] = {}
    for cell in dict.fromkeys(cells):
        state = _state(cell)
        if state is None:
            raise DataError(
                f"{table.header[position]} is {cell!r}, neither 1, 0 nor empty",
                where=table.where(cells.index(cell)),
                remedy=_remedy_for_label(cell),
            )
        state_of[cell] = state
    return np.fromiter(map(state_of.__getitem__, cells), np.float32, len(cells))


def _state(cell: str) -> float | None:
    """What a cell says, however the number is written (``0.0000``); None: it is not a label."""
    text = cell.strip()
    if not text:
        return np.nan
    number = float(text) if _PLAIN_NUMBER.fullmatch(text) else np.nan
    return number if number in (PRESENT, ABSENT) else None


def _remedy_for_label(cell: str) -> str:
    text = cell.strip().casefold()
    if says_nothing(cell):
        return "Leave the cell empty for unknown: it is masked in the loss."
    if text in ("-1", "-1.0"):
        return (
            "Where -1 is uncertain, as in CheXpert, leave the cell empty, which is masked in the "
            "loss, or decide for 1 or 0; where it is absent, write 0."
        )
    if text in _WORDS:
        return f"Write {_WORDS[text]}, and so on in the other rows."
    return "Write 1 for present, 0 for absent, nothing for unknown."
