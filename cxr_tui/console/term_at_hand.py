"""The terms of the glossary that stand under the mouse, or in the row or field at the cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.errors import NoWidget
from textual.geometry import Offset, Region
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable

from core.glossary import Term, terms_in

_WORDS = re.compile(r"\S+(?: \S+)*")
"""What stands together: cells of a table are two blanks apart."""

_LONGEST_CELL = 24
"""Of longer texts only the very word under the mouse counts."""


def terms_at_hand(screen: Screen[None], at_cursor: str) -> Sequence[Term]:
    """The term under the mouse, then those of the text at the cursor, each once."""
    pointed = _under_mouse(screen, screen.app.mouse_position)
    found = ([pointed] if pointed else []) + [one.term for one in terms_in(at_cursor)]
    return tuple(dict.fromkeys(found))


def _under_mouse(screen: Screen[None], at: Offset) -> Term | None:
    """The term in the word or cell under the mouse, or in the head of that cell's column."""
    try:
        widget, region = screen.get_widget_at(*at)
    except NoWidget:
        return None
    x, y = at - region.offset
    line = _line(widget, y, region.width)
    cell = next((one.span() for one in _WORDS.finditer(line) if one.start() <= x < one.end()), None)
    if cell is None:
        return None
    term = _term_in(line, x, *cell)
    if term is None and isinstance(widget, DataTable) and y > 0:
        heads = _line(widget, 0, region.width)
        over = [one.span() for one in _WORDS.finditer(heads)]
        over = [span for span in over if span[0] < cell[1] and cell[0] < span[1]]
        return _term_in(heads, x, *over[0]) if over else None
    return term


def _term_in(line: str, x: int, start: int, end: int) -> Term | None:
    found = terms_in(line[start:end])
    covering = [one for one in found if start + one.start <= x < start + one.end]
    if not covering and end - start > _LONGEST_CELL:
        return None
    return next((one.term for one in covering or found), None)


def _line(widget: Widget, y: int, width: int) -> str:
    return widget.render_lines(Region(0, y, width, 1))[0].text
