"""The cells of a column of labels: numbers, what the recipe gives a meaning, and common words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping

import numpy as np

from core.data.tables import states
from core.data.tables.cell_columns import distinct_cells
from core.data.tables.states import BLANK, UNCERTAIN, States
from core.data.tables.text_table import TextTable, says_nothing
from core.errors import DataError
from core.findings import ABSENT, PRESENT
from core.recipe import ColumnSettings

_YES = ("true", "yes", "y", "t", "ja", "j", "sí", "si", "oui", "x", "+", "positive", "present")
_NO = ("false", "no", "n", "f", "nein", "non", "negative", "absent")
_PERHAPS = (
    *("?", "u", "uncertain", "possible", "maybe", "equivocal", "fraglich", "unklar"),
    *("vd", "posible", "dudoso", "incertain", "douteux"),
)
_WORDS = {
    word: state
    for state, words in ((PRESENT, _YES), (ABSENT, _NO), (UNCERTAIN, _PERHAPS))
    for word in words
}
_PLAIN_NUMBER = re.compile(r"\+?[0-9]{1,9}(\.[0-9]{0,30})?", re.ASCII)


def cells_of(columns: ColumnSettings) -> Mapping[str, int]:
    """The cells besides 1, 0 and nothing that a recipe gives a meaning."""
    told = {
        UNCERTAIN: columns.uncertain,
        states.ABSENT: columns.absent,
        states.PRESENT: columns.present,
    }
    return {cell.strip(): state for state, cell in told.items() if cell is not None}


def states_in(table: TextTable, position: int, known: Mapping[str, int]) -> States:
    """States in a column's N cells.

    Args:
        known: other cells that have a meaning.

    Raises:
        DataError: a cell that is no label.
    """
    cells = table.columns[position]
    state_of: dict[str, int] = {}
    for cell in distinct_cells(cells):
        state = known.get(cell.strip(), state_in(cell, table.separator))
        if state is None:
            words = distinct_cells(cells)
            raise DataError(
                f"{table.header[position]} is {cell!r}, neither 1, 0 nor empty",
                where=table.where(cells.index(cell)),
                remedy=_remedy_for_label(cell, words),
                changes=_meaning_of(words) if cell.strip().casefold() in _WORDS else (),
            )
        state_of[cell] = state
    return np.fromiter(map(state_of.__getitem__, cells), np.int8, len(cells))


def state_in(cell: str, separator: str = ",") -> int | None:
    """The state in a cell, however the number is written (``0.0000``); None: not a label.

    Where commas don't separate columns, they are decimal ones (``1,0``).
    """
    text = cell.strip()
    if separator != ",":
        text = text.replace(",", ".", 1)
    if not text:
        return BLANK
    number = float(text) if _PLAIN_NUMBER.fullmatch(text) else np.nan
    return int(number) if number in (PRESENT, ABSENT) else None


def _remedy_for_label(cell: str, every: Collection[str]) -> str:
    text = cell.strip().casefold()
    if text in ("-1", "-1.0"):
        return (
            "If -1 is uncertain, as in CheXpert, set dataset.columns.uncertain='-1'; if it is "
            "absent, set dataset.columns.absent='-1'."
        )
    if text in _WORDS:
        changes = " ".join(f"--set {shlex.quote(change)}" for change in _meaning_of(every))
        return f"Say what the table's words mean: {changes}"
    if says_nothing(cell):
        return "Leave the cell empty for unknown: it is masked in the loss."
    return "Write 1 for present, 0 for absent, nothing for unknown."


def _meaning_of(cells: Collection[str]) -> list[str]:
    """The recipe's changes that say what these cells mean, by the words that are known."""
    words = [cell.strip() for cell in cells]
    said = {_WORDS[word.casefold()]: word for word in words if word.casefold() in _WORDS}
    roles = ((PRESENT, "present"), (ABSENT, "absent"), (UNCERTAIN, "uncertain"))
    return [f"dataset.columns.{role}={said[state]}" for state, role in roles if state in said]
