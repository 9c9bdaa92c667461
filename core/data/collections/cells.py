"""States of findings, as several collections write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.data.tables.cell_columns import by_distinct
from core.data.tables.labels import positions_of
from core.data.tables.states import ABSENT, BLANK, PRESENT, UNCERTAIN, States
from core.data.tables.text_table import TextTable
from core.errors import DataError
from core.findings import canonical_finding, is_no_finding

NUMBERS: Mapping[str, int] = {
    cell: state
    for state, cells in {
        PRESENT: ("1", "1.0", "1.00"),
        ABSENT: ("0", "0.0", "0.00"),
        BLANK: ("",),
    }.items()
    for cell in cells
}
CHEXPERT_CELLS: Mapping[str, int] = {**NUMBERS, "-1": UNCERTAIN, "-1.0": UNCERTAIN}


def states_by_name(
    table: TextTable, findings: Sequence[str], states: Mapping[str, int]
) -> tuple[tuple[str, ...], States]:
    """The states of these findings, from the columns of their names in any order and spelling.

    Returns:
        The findings that have a column, in the given order, and N rows × A states.

    Raises:
        DataError: another cell, or two columns for one finding.
    """

    def finding_of(name: str) -> str | None:
        finding = "No Finding" if is_no_finding(name) else (canonical_finding(name) or name)
        return finding if finding in findings else None

    position_of = positions_of(table, finding_of)
    there = tuple(finding for finding in findings if finding in position_of)
    columns = [column_states(table, position_of[finding], states) for finding in there]
    return there, np.column_stack(columns)


def column_states(table: TextTable, position: int, states: Mapping[str, int]) -> States:
    """The states in a column.

    Raises:
        DataError: a cell that is none of the known ones.
    """
    cells = table.columns[position]

    def state_in(cell: str) -> int:
        state = states.get(cell.strip())
        if state is None:
            known = ", ".join(repr(known) if known else "nothing" for known in states)
            raise DataError(
                f"{table.header[position]} is {cell[:60]!r}; this table's states are {known}",
                where=table.where(cells.index(cell)),
                why="A state that is guessed would train the network on a false label",
                remedy="Correct the cell, or fetch the table again.",
            )
        return state

    states_N: States = by_distinct(cells, state_in, np.int8)
    return states_N
