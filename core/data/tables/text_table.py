"""CSV files: header, columns, and the line of each row.

Line numbers are the file's own, since a message about "row 4711" would lead to the wrong line. The
standard library's reader is used on purpose: for NIH's 112,120 rows it takes less time than
importing pandas.
"""

from __future__ import annotations

import contextlib
import csv
import gc
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from core.data.tables.cell_columns import ColumnBuilder
from core.data.tables.spreadsheet_text import separator_of
from core.data.tables.text_file import Count, FileText, read_text
from core.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

Record = list[str]

MAX_CELLS = 20_000_000
"""NIH's table has 1.2 million; in memory, a cell takes up to a hundred bytes."""

_CHUNK = 4096
_IN_WORDS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


# What programs write into an empty cell (including pandas' list), folded.
_SAYS_NOTHING = frozenset(
    ("", "nan", "-nan", "+nan", "none", "null", "nil", "na", "n/a", "<na>", "nat", "missing")
) | frozenset(("unknown", "#na", "#n/a", "#n/a n/a", "#null!", "-", "--", "?", "."))


def says_nothing(cell: str) -> bool:
    """Whether a cell is empty, or holds a word for empty such as ``nan``, ``None`` or ``NA``."""
    return cell.strip().casefold() in _SAYS_NOTHING


def first_that_says_nothing(cells: Sequence[str]) -> int | None:
    """The row of the first such cell; None if there is none."""
    if _SAYS_NOTHING.isdisjoint(map(str.casefold, cells)):  # stripped ones, and 112,120 of them
        return None
    return next((row for row, cell in enumerate(cells) if says_nothing(cell)), None)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Read large tables without the cycle collector, which costs a third of the time.

    It would traverse 112,120 new lists again and again, though none can be part of a cycle.
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

    ``records`` is the file's record of each row; ``starts`` the line on which each record starts,
    or None if record i starts on line i + 1. ``separator`` is a comma, a semicolon or a tab.
    """

    path: Path
    digest: str
    header: tuple[str, ...]
    columns: tuple[Sequence[str], ...]
    counts: tuple[Count, ...]
    records: Sequence[int]
    starts: Sequence[int] | None
    separator: str = ","

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.path} line {self.line(row)}"

    def line(self, row: int) -> int:
        """The line of the file on which a row starts."""
        record = self.records[row]
        return record + 1 if self.starts is None else self.starts[record]


def read_table(
    path: Path,
    wants: Callable[[str], bool] | None = None,
    *,
    text: Callable[[], FileText] | None = None,
) -> TextTable:
    """Read a CSV file with a header.

    Repaired and counted: semicolons or tabs between columns, Windows-1252, a byte order mark, blank
    rows, empty fields after the last named column, in the header (NIH's 2017 table) or in rows.

    Args:
        path: the file.
        wants: whether a column of this name is kept; the rest is checked and dropped while reading.
        text: gives the file's text where something else reads it.

    Raises:
        DataError: see ``read_text``; also broken quotes, no rows, and rows whose number of fields
            differs from the header's.
    """
    file = read_text(path) if text is None else text()
    separator = separator_of(_head(file))
    _refuse_too_many_cells(file, separator)
    plain = _plain_table(file, separator, wants)
    if plain is not None:
        return plain
    reading = _Reading(file, separator)
    try:
        return reading.table(wants)
    except csv.Error as error:
        raise DataError(
            f"can't be read as CSV ({error})",
            where=f"{path} line {reading.reader.line_num}",
            remedy="Look for an unclosed quote here or above.",
        ) from error


def _head(file: FileText) -> str:
    """The first line that says something."""
    lines = (line for line in file.lines() if line.strip())
    return next(lines, "")


def _said_of(file: FileText, separator: str) -> tuple[Count, ...]:
    mark = {";": "semicolons", "\t": "tabs"}.get(separator)
    separated = (Count(f"columns separated by {mark}", 0),) if mark else ()
    return (*file.repairs, *separated)


def _refuse_too_many_cells(file: FileText, separator: str) -> None:
    num_cells = file.raw.count(separator.encode()) + file.raw.count(b"\n") + file.raw.count(b"\r")
    if num_cells > MAX_CELLS:
        raise DataError(
            f"about {num_cells:,} cells are too many for a table (at most {MAX_CELLS:,})",
            where=file.path,
            remedy="Keep only the columns and rows that are needed.",
        )


def _plain_table(
    file: FileText, separator: str, wants: Callable[[str], bool] | None
) -> TextTable | None:
    """The table of a file without quotes or blank lines, split at separators and line feeds.

    That takes a third of the time of a CSV reader. None: the file needs one.
    """
    if b'"' in file.raw or file.had_bom:
        return None
    raw = file.raw.replace(b"\r\n", b"\n") if b"\r" in file.raw else file.raw
    head, _, _ = raw.partition(b"\n")
    names = [name.strip() for name in head.decode().split(separator)]
    width, start = len(names), len(head) + 1
    body = memoryview(raw)[start:]
    if width < 2 or not names[-1] or b"\r" in raw or not body:
        return None
    ends = _line_ends(body, width, separator)
    if ends is None:
        return None
    places = [place for place in range(width) if wants is None or wants(names[place])]
    shared = [ColumnBuilder() for _ in places]
    begin = 0
    for end in (*ends[_CHUNK - 1 :: _CHUNK].tolist(), int(ends[-1])):
        text = str(body[begin:end], "utf-8")
        begin = end + 1
        if not text:
            continue
        cells = text.replace("\n", separator).split(separator)
        if "" in cells[::width]:
            return None  # perhaps a row of commas alone
        for column, place in zip(shared, places, strict=True):
            column.extend(cells[place::width])
    return TextTable(
        path=file.path,
        digest=file.digest,
        header=tuple(names[place] for place in places),
        columns=tuple(column.built() for column in shared),
        counts=_said_of(file, separator),
        records=range(1, len(ends) + 1),
        starts=None,
        separator=separator,
    )


def _line_ends(body: memoryview, width: int, separator: str) -> npt.NDArray[np.int64] | None:
    """Where each line ends; None unless each has ``width`` fields."""
    bytes_B = np.frombuffer(body, np.uint8)
    marks_M = np.flatnonzero((bytes_B == ord(separator)) | (bytes_B == ord("\n")))
    if bytes_B[-1] != ord("\n"):
        marks_M = np.append(marks_M, len(bytes_B))
    if len(marks_M) % width:
        return None
    ends = marks_M[width - 1 :: width]
    num_feeds = int(np.count_nonzero(bytes_B == ord("\n")))
    is_whole = num_feeds == len(ends) or (num_feeds == len(ends) - 1 and ends[-1] == len(bytes_B))
    at_feeds = bytes_B[ends[: len(ends) - (ends[-1] == len(bytes_B))]] == ord("\n")
    return ends if is_whole and at_feeds.all() else None


class _Reading:
    """One pass over a file's records, which keeps the wanted cells alone."""

    def __init__(self, file: FileText, separator: str) -> None:
        self.file, self.separator = file, separator
        self.reader: Reader = csv.reader(file.lines(), strict=True, delimiter=separator)
        self.num_records = 0
        self.starts: array[int] | None = None
        """The line of each record, once there is a record of several lines."""
        self.kept: array[int] | None = None
        """The record of each row, once there is a blank record."""
        self.num_rows = self.num_blank = self.num_longer = 0

    def table(self, wants: Callable[[str], bool] | None) -> TextTable:
        """The file's table."""
        counts = [*_said_of(self.file, self.separator)]
        if self.file.had_bom:
            counts.append(Count("byte order mark ignored", 0))
        names = self._header()
        first = self.num_records
        width = max(place for place, name in enumerate(names) if name) + 1
        if len(names) > width:
            counts.append(Count("empty fields at the end of the header ignored", 0))
        places = [place for place in range(width) if wants is None or wants(names[place])]
        shared = [ColumnBuilder() for _ in places]
        while chunk := self._chunk(_CHUNK):
            columns = list(zip(*self._rows(chunk, width), strict=True))
            for cells, place in zip(shared, places, strict=True):
                cells.extend(columns[place] if columns else ())
        if self.num_blank:
            counts.append(Count("blank rows ignored", self.num_blank))
        if not self.num_rows:
            raise DataError("the table has a header but no rows", where=self.file.path)
        if self.num_longer:
            counts.append(Count("empty fields after the last column ignored", self.num_longer))
        return TextTable(
            path=self.file.path,
            digest=self.file.digest,
            header=tuple(names[place] for place in places),
            columns=tuple(cells.built() for cells in shared),
            counts=tuple(counts),
            records=range(first, self.num_records) if self.kept is None else self.kept,
            starts=self.starts,
            separator=self.separator,
        )

    def _header(self) -> Record:
        while chunk := self._chunk(1):
            if any(map(str.strip, chunk[0])):
                return [name.strip() for name in chunk[0]]
        raise DataError("the table names no column", where=self.file.path)

    def _chunk(self, num: int) -> list[Record]:
        """The next records; notes the line on which each starts, where that isn't its number."""
        reader, before = self.reader, self.reader.line_num
        records, ends = [], []
        for record in islice(reader, num):
            records.append(record)
            ends.append(reader.line_num)
        first, self.num_records = self.num_records, self.num_records + len(records)
        if self.starts is None and ends and ends[-1] != self.num_records:
            self.starts = array("I", range(1, first + 1))
        if self.starts is not None and ends:
            self.starts.extend([before + 1, *(end + 1 for end in ends[:-1])])
        return records

    def _rows(self, chunk: list[Record], width: int) -> list[Record]:
        """The records of rows: blank ones are left out, others must have the header's fields."""
        first = self.num_records - len(chunk)
        is_usual = set(map(len, chunk)) == {width} and "" not in map(itemgetter(0), chunk)
        rows = chunk if is_usual else []
        for place, record in enumerate(() if is_usual else chunk):
            if not any(map(str.strip, record)):
                if self.kept is None:
                    start = first + place
                    self.kept = array("I", range(start - self.num_rows - len(rows), start))
                self.num_blank += 1
                continue
            if len(record) != width:
                self._check_fields(record, width, first + place, chunk[place + 1 :])
                self.num_longer += 1
            if self.kept is not None:
                self.kept.append(first + place)
            rows.append(record[:width])
        if is_usual and self.kept is not None:
            self.kept.extend(range(first, self.num_records))
        self.num_rows += len(rows)
        return rows

    def _check_fields(
        self, record: Record, width: int, number: int, later: Sequence[Record]
    ) -> None:
        """Raises DataError for a record with too few fields, or with more that aren't empty."""
        if len(record) >= width and not any(map(str.strip, record[width:])):
            return
        line = number + 1 if self.starts is None else self.starts[number]
        rest = chain(later, self.reader)
        is_last = not any(any(map(str.strip, other)) for other in rest)
        raise DataError(
            f"the row has {len(record)} fields but the header names {width} columns",
            where=f"{self.file.path} line {line}",
            remedy="The file may be truncated: fetch it again."
            if is_last and len(record) < width
            else "Complete the row, or put quotes around cells that contain "
            f"{_IN_WORDS[self.separator]}.",
        )
