"""cams.csv: one row per map, and whatever users have added there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DataError
from core.regular_file import open_regular
from core.store.files import alone_with, is_file, write_whole
from core.store.formula_cells import escape_formula, original

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("Image Index", "Patient ID", "finding", "label", "probability", "method", "kind"),
    *("peak_x", "peak_y", "boxes", "hit", "hit_within_half_a_cell", "best_iou", "best_iobb"),
    *("energy_inside", "seen_in_training", "file"),
)
_TRUTHS = ("label", "hit", "hit_within_half_a_cell", "seen_in_training")
_NUMBERS = ("probability", "peak_x", "peak_y", "best_iou", "best_iobb", "energy_inside")


def add_to_table(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Add rows to cams.csv; a row with the same file gets our columns replaced.

    What users have added stays: columns, rows without a file, a second row of one. A row is dropped
    only if its file is gone and it holds no user's entry. Other processes that add to the same
    table wait meanwhile.

    Raises:
        DataError: a file of that name is not such a table.
        OSError: the folder can't be written to, or the table stays locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    added = {str(row["file"]): row for row in rows}
    with alone_with(path):
        try:
            head, before = _read_cells(path)
        except (UnicodeDecodeError, csv.Error):
            head, before = ["?"], []
        if head and "file" not in head:
            raise DataError(
                "is not a table of maps in UTF-8",
                where=path,
                why="Rows added to it would replace what it holds.",
                remedy="Move it away, and save the maps again.",
            )
        head += [name for name in COLUMNS if name not in head]
        after: list[Sequence[str]] = []
        for cells in before:
            name = _file_of(cells, head)
            if name in added:
                after.append(_cells(added[name], head, cells))
            elif not name or is_file(path.parent / name) or _has_more(cells, head):
                after.append(cells)
        known = {_file_of(cells, head) for cells in before}
        after += [_cells(row, head) for name, row in added.items() if name not in known]
        _write_cells(path, head, after)


def _file_of(cells: Sequence[str], head: Sequence[str]) -> str:
    """The map that a row belongs to; empty for a user's own row."""
    place = head.index("file")
    return original(cells[place]) if len(cells) > place else ""


def _has_more(cells: Sequence[str], head: Sequence[str]) -> bool:
    """Whether columns that aren't ours, or cells past the last one, hold anything."""
    theirs = [cell for cell, name in zip_longest(cells, head, fillvalue="") if name not in COLUMNS]
    return any(cell.strip() for cell in theirs)


def _cells(row: dict[str, object], head: Sequence[str], before: Sequence[str] = ()) -> list[str]:
    """The row under this header; cells that are not ours come from the existing row."""
    after = [*before, *[""] * (len(head) - len(before))]
    for place, name in enumerate(head):
        if name in row:
            value = row[name]
            after[place] = escape_formula(value) if isinstance(value, str) else str(value)
    return after


def _write_cells(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())


def read_maps(path: Path) -> DataFrame:
    """cams.csv as a data frame, one row per map; empty if there is no such table.

    Coordinates and sizes are in pixels of the image file. 0 and 1 become False and True, or
    missing; names stay text. What users have added is left out.
    """
    import pandas as pd

    try:
        head, rows = _read_cells(path)
    except (OSError, UnicodeDecodeError, csv.Error):
        head, rows = [], []
    places = [head.index(name) for name in COLUMNS] if {*COLUMNS} <= {*head} else []
    whole = [cells for cells in rows if places and len(cells) >= len(head)]
    frame = pd.DataFrame([[original(row[at]) for at in places] for row in whole], columns=COLUMNS)
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in _NUMBERS}
    truths = {name: frame[name].map({"0": False, "1": True}).astype("boolean") for name in _TRUTHS}
    return frame.assign(**numbers, **truths)


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows as in the file; a spreadsheet may have written a byte order mark first."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as stream:
        head, *rows = [*csv.reader(stream)] or [[]]
    return head, [cells for cells in rows if cells]
