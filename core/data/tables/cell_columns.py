"""Columns of a table in little memory: equal cells are one object, few distinct ones are codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

_SHARED_AT_MOST = 0.5
"""Share of distinct cells in a column from which on equal ones are not looked for."""


class CodedCells(Sequence[str]):
    """N cells of which at most 256 differ: the distinct ones by first appearance, and N codes."""

    __slots__ = ("codes_N", "distinct")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, distinct: Sequence[str], codes_N: npt.NDArray[np.uint8]) -> None:
        self.distinct, self.codes_N = distinct, codes_N

    def __len__(self) -> int:
        return len(self.codes_N)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return tuple(map(self.distinct.__getitem__, self.codes_N[place].tolist()))
        return self.distinct[int(self.codes_N[place])]

    def __iter__(self) -> Iterator[str]:
        return map(self.distinct.__getitem__, self.codes_N.tolist())

    def __contains__(self, cell: object) -> bool:
        return cell in self.distinct

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The first row with this cell."""
        if start == 0 and stop is None and value in self.distinct:
            return int(np.argmax(self.codes_N == self.distinct.index(value)))
        return tuple(self).index(value, start, len(self) if stop is None else stop)

    def count(self, value: Any) -> int:
        """The number of rows with this cell."""
        if value not in self.distinct:
            return 0
        return int(np.count_nonzero(self.codes_N == self.distinct.index(value)))


def distinct_cells(cells: Iterable[str]) -> Sequence[str]:
    """The distinct cells of a column, by first appearance."""
    return cells.distinct if isinstance(cells, CodedCells) else tuple(dict.fromkeys(cells))


def by_distinct(
    cells: Sequence[str], meaning: Callable[[str], Any], dtype: Any
) -> npt.NDArray[Any]:
    """What each of N cells means; each distinct one is asked once, by first appearance."""
    if isinstance(cells, CodedCells):
        meanings = np.empty(len(cells.distinct), dtype=dtype)
        for code, cell in enumerate(cells.distinct):
            meanings[code] = meaning(cell)
        meant_N: npt.NDArray[Any] = meanings[cells.codes_N]
        return meant_N
    by_cell = {cell: meaning(cell) for cell in dict.fromkeys(cells)}
    return np.fromiter(map(by_cell.__getitem__, cells), dtype, len(cells))


class _Codes(dict[str, int]):
    def __missing__(self, cell: str) -> int:
        self[cell] = code = len(self)
        return code


class ColumnBuilder:
    """A column that grows: codes while few cells differ, then text."""

    def __init__(self) -> None:
        self._code_of: _Codes | None = _Codes()
        self._codes: list[bytes] = []
        self._cells: list[str] = []
        self._known: dict[str, str] | None = {}

    def extend(self, cells: Sequence[str]) -> None:
        """Add cells."""
        if self._code_of is not None:
            try:
                self._codes.append(bytes(map(self._code_of.__getitem__, cells)))
                return
            except ValueError:  # a 257th distinct cell
                self._cells = list(self._coded())
                self._code_of, self._codes = None, []
                self._known = {cell: cell for cell in self._cells}
        if self._known is None:
            self._cells.extend(cells)
            return
        self._cells.extend(map(self._known.setdefault, cells, cells))
        if len(self._known) > _SHARED_AT_MOST * len(self._cells):
            self._known = None

    def built(self) -> Sequence[str]:
        """The column; the builder is empty afterwards."""
        column = tuple(self._cells) if self._code_of is None else self._coded()
        self._code_of, self._codes, self._cells, self._known = None, [], [], None
        return column

    def _coded(self) -> CodedCells:
        codes_N = np.frombuffer(b"".join(self._codes), np.uint8)
        return CodedCells(tuple(self._code_of or ()), codes_N)
