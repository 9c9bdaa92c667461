"""cams.csv: our row a map, beside whatever somebody has noted there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from core.errors import DataError
from core.regular_file import open_regular
from core.store.files import alone_with, is_file, write_whole
from core.store.formula_cells import escape_formula, original

COLUMNS = (
    *("Image Index", "Patient ID", "finding", "label", "probability", "method", "kind"),
    *("peak_x", "peak_y", "boxes", "hit", "hit_within_half_a_cell", "best_iou", "best_iobb"),
    *("energy_inside", "seen_in_training", "file"),
)


def write_table(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """cams.csv of these rows, whole or not at all."""
    _write_cells(path, COLUMNS, [_cells(row, COLUMNS) for row in rows])


def add_to_table(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Rows into cams.csv: in each that names the same file our columns are replaced.

    What somebody has added stays: columns, rows without a file, a second row of one. A row goes
    only where its file is gone and nothing of somebody's stands in it. Other processes that add
    to the same table wait meanwhile.

    Raises:
        DataError: there is a file of that name that is no such table.
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
    """The map that a row is of; nothing where it is somebody's own row."""
    place = head.index("file")
    return original(cells[place]) if len(cells) > place else ""


def _has_more(cells: Sequence[str], head: Sequence[str]) -> bool:
    """Whether anything stands in columns that aren't ours, or past the last of them."""
    theirs = [cell for cell, name in zip_longest(cells, head, fillvalue="") if name not in COLUMNS]
    return any(cell.strip() for cell in theirs)


def _cells(row: dict[str, object], head: Sequence[str], before: Sequence[str] = ()) -> list[str]:
    """The row under such a head; what is not ours is taken from the row that was there before."""
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


def read_table(path: Path) -> list[dict[str, object]]:
    """The rows that are there; none where there is no such file or it is another one."""
    try:
        head, rows = _read_cells(path)
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    if not set(COLUMNS) <= set(head):
        return []
    places = {name: head.index(name) for name in COLUMNS}
    whole = (cells for cells in rows if len(cells) >= len(head))
    return [{name: original(cells[at]) for name, at in places.items()} for cells in whole]


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Head and rows as they stand there; a spreadsheet may have put a mark before all."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as stream:
        head, *rows = [*csv.reader(stream)] or [[]]
    return head, [cells for cells in rows if cells]
