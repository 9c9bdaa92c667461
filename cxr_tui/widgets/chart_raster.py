"""Draw lines as dots in cells: braille with eight dots per cell, or one character per cell.

plotext takes 0.3 s to join the dots of a chart of 200×35 cells, which is noticeable at each redraw.
With the dots of a column as bits of one number it takes a few milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

_BRAILLE = 0x2800
_LEFT_DOTS = (0x01, 0x02, 0x04, 0x40)
_RIGHT_DOTS = (0x08, 0x10, 0x20, 0x80)


def _codes(dots: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        sum(dot for row, dot in enumerate(dots) if bits >> row & 1)
        for bits in range(2 ** len(dots))
    )


_LEFT, _RIGHT = _codes(_LEFT_DOTS), _codes(_RIGHT_DOTS)


class Raster:
    """The dots of one line; columns count from the left, rows from the top."""

    def __init__(self, columns: int, rows: int, *, braille: bool = True) -> None:
        self.columns, self.rows = columns, rows
        self._braille = braille
        self.across, self.down = (2, 4) if braille else (1, 1)
        self._dots = [0] * (columns * self.across)

    def draw(self, points: Sequence[tuple[float, float]]) -> None:
        """Join points, given as fractions of the width and, from the bottom, of the height."""
        last_x, last_y = self.columns * self.across - 1, self.rows * self.down - 1
        places = [(round(x * last_x), round((1 - y) * last_y)) for x, y in points]
        for x, y in places[:1]:
            self._fill(x, y, y)
        for (x0, y0), (x1, y1) in itertools.pairwise(places):
            if x0 == x1:
                self._fill(x0, y0, y1)
                continue
            slope = (y1 - y0) / (x1 - x0)
            step = 1 if x1 > x0 else -1
            for x in range(x0, x1 + step, step):
                near = y0 + slope * (max(min(x0, x1), x - 0.5) - x0)
                far = y0 + slope * (min(max(x0, x1), x + 0.5) - x0)
                self._fill(x, round(near), round(far))

    def signs(self) -> Iterator[tuple[int, int, str]]:
        """Each non-empty cell: column, row, character."""
        for column in range(self.columns):
            dots = self._dots[column * self.across : (column + 1) * self.across]
            if not any(dots):
                continue
            for row in range(self.rows):
                sign = self._sign([bits >> (row * self.down) for bits in dots])
                if sign:
                    yield column, row, sign

    def _sign(self, dots: list[int]) -> str:
        if not self._braille:
            return "*" if dots[0] & 1 else ""
        code = _LEFT[dots[0] & 15] | _RIGHT[dots[1] & 15]
        return chr(_BRAILLE + code) if code else ""

    def _fill(self, x: int, y0: int, y1: int) -> None:
        top, bottom = (y0, y1) if y0 <= y1 else (y1, y0)
        self._dots[x] |= ((1 << (bottom - top + 1)) - 1) << top


def joined(below: str, above: str) -> str:
    """Two characters in one cell: the dots of both if both are braille."""
    if "\u2800" <= below <= "\u28ff" and "\u2800" <= above <= "\u28ff":
        return chr(ord(below) | ord(above))
    return above
