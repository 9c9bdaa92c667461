"""Labels in a label table, in one column of words or in one column per finding."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from core.data.tables.cell_columns import distinct_cells
from core.data.tables.column_names import folded, missing_column
from core.data.tables.label_cells import state_in, states_in
from core.data.tables.states import BLANK, States
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, says_nothing
from core.errors import DataError
from core.findings import (
    ABSENT,
    FINDINGS,
    NO_FINDING,
    PRESENT,
    VOCABULARY,
    canonical_finding,
    did_you_mean,
    finding_columns,
    may_be_finding,
)

_NO_FINDINGS = frozenset(
    ("nofinding", "normal", "abnormal", "male", "female", "ismale", "isfemale", "istrain")
) | frozenset(("istest", "test", "train", "val", "valid", "fold", "split", "portable", "pediatric"))
"""Names of columns of 1 and 0 that are no finding, folded."""
_CLASS_NUMBERS = re.compile(r"[\[(]?\s*\d{1,2}(\.0)?(\s*[\s,;|]\s*\d{1,2})*\s*[\])]?", re.ASCII)
"""``3``, ``[0, 4]``, ``5|7``."""
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "target", "targets", "finding", "findings")
_LOOKED_AT = 1000
_SEPARATORS = re.compile(r"\s*[,;/&+]\s*|\s+and\s+")


def spelt_otherwise(table: TextTable, findings: Sequence[str]) -> tuple[str, ...]:
    """A note on findings whose columns have another name than ours; () if there are none."""
    position_of, _ = _finding_positions(table, findings)
    names = {name: table.header[place] for name, place in position_of.items() if name in findings}
    others = [
        f"{name} is {column!r}" for name, column in names.items() if folded(column) != folded(name)
    ]
    return (f"Findings by the table's columns: {', '.join(others)}.",) if others else ()


def labels_of_words(
    table: TextTable, position: int, images: Sequence[str]
) -> tuple[tuple[str, ...], npt.NDArray[np.float32], tuple[Count, ...]]:
    """Labels from cells such as ``Mass|Nodule`` or ``No Finding``.

    Returns:
        A findings: NIH's 14, and others of the vocabulary that occur; N images × A findings, 1
        present, 0 absent; and what was repaired.

    Raises:
        DataError: an unknown finding, ``No Finding`` together with a finding, an empty cell.
    """
    cells = table.columns[position]
    # The full NIH table has 836 distinct cells: each is parsed once.
    code_of = {cell: code for code, cell in enumerate(distinct_cells(cells))}
    column_of = finding_columns(VOCABULARY)
    labels_CA = np.full((len(code_of), len(VOCABULARY)), ABSENT, dtype=np.float32)
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
    occurs_A = (labels_CA == PRESENT).any(axis=0)
    occurs_A[: len(FINDINGS)] = True
    known = tuple(finding for finding in VOCABULARY if occurs_A[column_of[finding]])
    labels_NA = labels_CA[:, occurs_A][codes_N]
    if not respelled:
        return known, labels_NA, ()
    names = [image for image, cell in zip(images, cells, strict=True) if cell in respelled]
    return known, labels_NA, (count_of("finding spelled otherwise than by NIH", names),)


def _bad_word(cell: str, word: str, where: str) -> DataError:
    if says_nothing(cell):
        return DataError(
            "the row has no finding label",
            where=where,
            why="Empty could mean unknown or no finding",
            remedy=f"Write {NO_FINDING!r} if there is none.",
        )
    if folded(word) == folded(NO_FINDING):
        return DataError(
            f"{cell!r} contains both {NO_FINDING!r} and a finding",
            where=where,
            why="One of them is wrong and would train the network on a false label",
            remedy="Correct the row.",
        )
    if _CLASS_NUMBERS.fullmatch(cell.strip()):
        return _class_numbers(repr(cell), where)
    parts = [canonical_finding(part) for part in _SEPARATORS.split(word)]
    if len(parts) > 1 and all(parts):
        return DataError(
            f"the findings in {word!r} are not separated by '|'",
            where=where,
            remedy=f"Write {'|'.join(filter(None, parts))}, in this row and in the others.",
        )
    return DataError(
        f"unknown finding {word!r}",
        where=where,
        remedy=did_you_mean(word, (*FINDINGS, NO_FINDING)) or f"Known: {', '.join(FINDINGS)}.",
    )


def _class_numbers(what: str, where: object) -> DataError:
    return DataError(
        f"{what} counts findings by number",
        where=where,
        why="Copies of NIH's labels count from 0 = No Finding or from 0 = Atelectasis: the wrong "
        "one would move every label to another finding",
        remedy="Write the findings' names, or fetch NIH's own table.",
    )


def _refuse_class_numbers(table: TextTable) -> None:
    """Raises DataError for a table whose labels are numbers of classes, in cells or as columns."""
    numbers = [name for name in table.header if name.isdecimal()]
    if len(numbers) >= len(FINDINGS):
        raise _class_numbers(f"the header {', '.join(numbers[:4])}, …", table.path)
    for name, cells in zip(table.header, table.columns, strict=True):
        if folded(name) in _LABEL_COLUMNS and all(
            _CLASS_NUMBERS.fullmatch(cell.strip()) for cell in cells[:_LOOKED_AT]
        ):
            raise _class_numbers(f"the column {name!r} (such as {cells[0][:40]!r})", table.where(0))


def states_of_columns(
    table: TextTable, wanted: Sequence[str], cells: Mapping[str, int], roles: Collection[int] = ()
) -> tuple[tuple[str, ...], States]:
    """States from one column per finding, of 1, 0 or nothing.

    Args:
        table: the table.
        wanted: findings that it must have, which may be its own.
        cells: other cells that have a meaning.
        roles: positions of columns that are something else, such as the patient.

    Returns:
        The A findings that the table has, in the vocabulary's order, then its own; and N images ×
        A states.

    Raises:
        DataError: a wanted finding without a column, two columns for one, another value, a 1 under
            ``No Finding`` together with a finding.
    """
    position_of, no_finding = _finding_positions(
        table, (*wanted, *_own_findings(table, roles, cells))
    )
    for finding in wanted:
        if finding not in position_of:
            if not position_of:
                _refuse_class_numbers(table)
            nearest = did_you_mean(finding, table.header)
            what = repr(finding) if position_of else "'Finding Labels', nor one per finding"
            raise missing_column(table, what, nearest or _own_ones(position_of))
    if not position_of:
        _refuse_class_numbers(table)
        raise missing_column(table, "'Finding Labels', nor one per finding")
    order = (*VOCABULARY, *(name for name in position_of if name not in VOCABULARY))
    findings = tuple(finding for finding in order if finding in position_of)
    states_NA = np.column_stack([states_in(table, position_of[name], cells) for name in findings])
    if no_finding is not None and NO_FINDING not in findings:
        nothing_N = states_in(table, no_finding, cells) == PRESENT
        spared = [column for column, name in enumerate(findings) if name == "Support Devices"]
        present_NA = np.delete(states_NA, spared, axis=1) == PRESENT
        contradicted = np.flatnonzero(nothing_N & present_NA.any(axis=1))
        if contradicted.size:
            row = int(contradicted[0])
            others = [name for name in findings if name != "Support Devices"]
            found = others[int(np.argmax(present_NA[row]))]
            raise _bad_word(f"{NO_FINDING}|{found}", NO_FINDING, table.where(row))
    return findings, states_NA


def _own_ones(findings: Collection[str]) -> str:
    if not findings:
        return ""
    return f"Name those that it has: --set 'dataset.findings={','.join(findings)}'"


def refuse_two_sources(
    table: TextTable, words: int, findings: Sequence[str], labels_NA: npt.NDArray[np.float32]
) -> None:
    """Check that columns of findings agree with the column of words, if a table has both.

    Args:
        table: the table.
        words: the position of its column of words.
        findings: those of the labels.
        labels_NA: the labels from that column.

    Raises:
        DataError: they differ, with the number of rows that do.
    """
    position_of, _ = _finding_positions(table)
    differs_N = np.zeros(len(labels_NA), dtype=bool)
    first: tuple[int, int] | None = None
    for finding, position in position_of.items():
        cells = table.columns[position]
        if finding not in findings:
            continue
        state_of = {cell: state_in(cell) for cell in distinct_cells(cells)}
        # Values other than 1 and 0 are ignored: a column may merely have a finding's name.
        known_of = {cell: BLANK if state is None else state for cell, state in state_of.items()}
        states_N = np.array([known_of[cell] for cell in cells])
        differing_N = (states_N >= 0) & (states_N != labels_NA[:, findings.index(finding)])
        if differing_N.any() and first is None:
            first = int(np.argmax(differing_N)), position
        differs_N |= differing_N
    if first is None:
        return
    row, position = first
    raise DataError(
        f"{table.header[words]!r} says {table.columns[words][row]!r}, but the column "
        f"{table.header[position]!r} says {table.columns[position][row].strip()!r}; "
        f"they differ in {differs_N.sum():,} of {len(labels_NA):,} rows",
        where=table.where(row),
        why="There is no way to tell which of the two is meant",
        remedy="Remove the column that is out of date, or rename it.",
    )


def _own_findings(
    table: TextTable, roles: Collection[int], known: Mapping[str, int]
) -> Iterator[str]:
    """Names of columns of nothing but 1, 0 and blank, with both 1 and 0, that may be findings."""
    for position, name in enumerate(table.header):
        if position in roles or not may_be_finding(name) or folded(name) in _NO_FINDINGS:
            continue
        states = set()
        for cell in set(table.columns[position]):
            states.add(known.get(cell.strip(), state_in(cell, table.separator)))
            if None in states:
                break
        if None not in states and {PRESENT, ABSENT} <= states:
            yield name


def _finding_positions(
    table: TextTable, wanted: Sequence[str] = ()
) -> tuple[Mapping[str, int], int | None]:
    """The column of each finding, and that of ``No Finding``."""
    own_of = {folded(name): name for name in wanted}
    named = [folded(name) == folded(NO_FINDING) for name in table.header]
    no_finding = max((at for at, is_it in enumerate(named) if is_it), default=None)
    known = positions_of(table, lambda name: canonical_finding(name) or own_of.get(folded(name)))
    return known, no_finding


def positions_of(table: TextTable, finding_of: Callable[[str], str | None]) -> dict[str, int]:
    """Finding -> its column, in the table's order.

    Args:
        finding_of: the finding that a column's name stands for, or None.

    Raises:
        DataError: two columns for a finding.
    """
    position_of: dict[str, int] = {}
    for position, name in enumerate(table.header):
        finding = finding_of(name)
        if finding and position_of.setdefault(finding, position) != position:
            raise DataError(
                f"two columns for {finding}: {table.header[position_of[finding]]!r} and {name!r}",
                where=table.path,
                remedy="Remove one of them.",
            )
    return position_of
