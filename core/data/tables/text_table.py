"""CSV files as files hold them: header, columns, and the line on which each row stands.

Line numbers are the file's own, since a message that says «row 4711» sends its reader to the
wrong line. The standard library's reader is used on purpose: with NIH's 112,120 rows it takes
less time than importing pandas does.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from core.data.tables.text_file import Count, FileText, read_text
from core.errors import DataError

Record = list[str]

MAX_CELLS = 20_000_000
"""NIH's table has 1.2 million; unpacked, a cell takes up to a hundred bytes."""


# What programs write into a cell that has nothing to say (pandas' list among them), folded.
_SAYS_NOTHING = frozenset(
    ("", "nan", "-nan", "+nan", "none", "null", "nil", "na", "n/a", "<na>", "nat", "missing")
) | frozenset(("unknown", "#na", "#n/a", "#n/a n/a", "#null!", "-", "--", "?", "."))


def says_nothing(cell: str) -> bool:
    """Whether a cell is empty, or holds a word for empty such as ``nan``, ``None`` or ``NA``."""
    return cell.strip().casefold() in _SAYS_NOTHING


def first_that_says_nothing(cells: Sequence[str]) -> int | None:
    """The row of the first such cell; None where each says something."""
    if _SAYS_NOTHING.isdisjoint(map(str.casefold, cells)):  # stripped ones, and 112,120 of them
        return None
    return next((row for row, cell in enumerate(cells) if says_nothing(cell)), None)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Reads large tables without the cycle collector, which costs a third of the time.

    It would walk 112,120 fresh lists again and again, though none can be part of a cycle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, eq=False)
class TextTable:
    """A CSV file without its blank rows: C named columns of N cells each.

    ``records`` says which record of the file each row was; ``starts`` on which line each record
    starts, or None where record i starts on line i + 1.
    """

    path: Path
    digest: str
    header: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    counts: tuple[Count, ...]
    records: Sequence[int]
    starts: Sequence[int] | None

    def where(self, row: int) -> str:
        """File and line of a row, for a message."""
        return f"{self.path} line {self.line(row)}"

    def line(self, row: int) -> int:
        """The line of the file on which a row starts."""
        record = self.records[row]
        return record + 1 if self.starts is None else self.starts[record]


def read_table(path: Path) -> TextTable:
    """A CSV file with a header.

    Repaired and counted: a byte order mark, blank rows, empty fields after the last named
    column, in the header (NIH's 2017 table) or in rows.

    Raises:
        DataError: see ``read_text``; besides, broken quotes, no rows, and rows whose number of
            fields is not the header's.
    """
    file = read_text(path)
    _refuse_too_many_cells(file)
    records, num_lines = _records(file)
    counts = [Count("byte order mark ignored", 0)] if file.had_bom else []
    header_record = _header_record(records, path)
    names = [name.strip() for name in records[header_record]]
    header = tuple(names[: max(i for i, name in enumerate(names) if name) + 1])
    if len(names) > len(header):
        counts.append(Count("empty fields at the end of the header ignored", 0))
    kept, num_blank = _without_blank(records, header_record + 1, len(header))
    if num_blank:
        counts.append(Count("blank rows ignored", num_blank))
    if not kept:
        raise DataError("the table has a header and no rows", where=path)
    starts = None if num_lines == len(records) else _start_lines(file.text)
    rows = records[header_record + 1 :] if isinstance(kept, range) else [records[i] for i in kept]
    table = TextTable(path, file.digest, header, (), tuple(counts), kept, starts)
    return _with_columns(table, rows)


def _refuse_too_many_cells(file: FileText) -> None:
    num_cells = file.text.count(",") + file.text.count("\n") + file.text.count("\r")
    if num_cells > MAX_CELLS:
        raise DataError(
            f"about {num_cells:,} cells are too many for a table (at most {MAX_CELLS:,})",
            where=file.path,
            remedy="Keep the columns and rows that are needed.",
        )


def _header_record(records: Sequence[Record], path: Path) -> int:
    for number, record in enumerate(records):
        if any(map(str.strip, record)):
            return number
    raise DataError("the table names no column", where=path)


def _without_blank(records: Sequence[Record], start: int, width: int) -> tuple[Sequence[int], int]:
    """The records from ``start`` on that hold anything, and the number of those that don't."""
    every = range(start, len(records))
    rows = records[start:]
    if min(map(len, rows), default=width) >= width and "" not in map(itemgetter(0), rows):
        return every, 0
    kept = [number for number in every if any(map(str.strip, records[number]))]
    return (kept, len(every) - len(kept)) if len(kept) < len(every) else (every, 0)


def _with_columns(table: TextTable, rows: list[Record]) -> TextTable:
    """The table with its columns; refuses rows with fields too few or too many."""
    width = len(table.header)
    counts = table.counts
    if set(map(len, rows)) != {width}:
        num_longer = 0
        for row, cells in enumerate(rows):
            if len(cells) < width or any(map(str.strip, cells[width:])):
                is_last = row == len(rows) - 1
                raise DataError(
                    f"the row has {len(cells)} fields where the header names {width} columns",
                    where=table.where(row),
                    remedy="The file may have been cut off: fetch it again."
                    if is_last and len(cells) < width
                    else "Complete the row, or put quotes around cells that hold a comma.",
                )
            num_longer += len(cells) > width
        rows = [cells[:width] for cells in rows]
        counts += (Count("empty fields after the last column ignored", num_longer),)
    return replace(table, columns=tuple(zip(*rows, strict=True)), counts=counts)


def _records(file: FileText) -> tuple[list[Record], int]:
    """All records of a CSV text, and its number of lines as the reader counts them."""
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    try:
        return list(reader), reader.line_num
    except csv.Error as error:
        raise DataError(
            f"can't be read as CSV ({error})",
            where=f"{file.path} line {reader.line_num}",
            remedy="Look for a quote that is opened and never closed, here or above.",
        ) from error


def _start_lines(text: str) -> list[int]:
    """The line on which each record starts, for files whose quoted cells hold line breaks."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    starts, line = [], 1
    for _ in reader:
        starts.append(line)
        line = reader.line_num + 1
    return starts
