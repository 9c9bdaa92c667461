"""The list of sessions, one row each; cursor and scroll position stay when it is updated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import Input

from cxr_tui.sessions.columns import COLUMNS, Order, columns_that_fit
from cxr_tui.sessions.listed import SearchRow, search_and_part
from cxr_tui.terminal.safe_text import name_shortened, visible
from cxr_tui.widgets.lists import ListTable

if TYPE_CHECKING:
    from cxr_tui.sessions.listed import Listed


class SessionsTable(ListTable):
    """The list of sessions; Enter opens one, and a search shows only the hits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open", id="sessions.open", key_display="enter"),
        Binding("home,g", "scroll_top", "first session", id="sessions.first", show=False),
        Binding("end,G", "scroll_bottom", "last session", id="sessions.last", show=False),
        Binding("right", "screen.unfold", "unfold", id="sessions.unfold", key_display="→"),
        Binding("left", "screen.fold", "fold", id="sessions.fold", key_display="←"),
        Binding("slash", "screen.filter", "filter", id="sessions.filter", key_display="/"),
    ]

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row")
        self._ascii_only = ascii_only
        self._names: list[str] = []
        self._heads: list[tuple[str, int]] = []
        self.order = Order()
        self.marked: set[str] = set()
        self.columns_shown = list(COLUMNS)

    def list_hits(self) -> list[int]:
        """Every row, since the others are filtered away."""
        self.pattern = self.screen.query_one("#filter", Input).value
        return list(range(self.row_count)) if self.pattern else []

    @property
    def chosen(self) -> str:
        """The session under the cursor; '' if there is none."""
        return self._names[self.cursor_row] if 0 <= self.cursor_row < len(self._names) else ""

    def show(self, listed: Sequence[Listed], width: int) -> None:
        """Show these rows, in this order, in a given width."""
        heads = {
            column.name: self.order.head(column, ascii_only=self._ascii_only) for column in COLUMNS
        }
        columns, room = columns_that_fit(listed, width, lambda column: heads[column.name])
        self.columns_shown = columns
        names = self._told_names(listed)
        rows = [
            [
                self._name_cell(one.name, told, room),
                *(column.text(one) for column in columns[1:]),
            ]
            for one, told in zip(listed, names, strict=True)
        ]
        self._put([heads[column.name] for column in columns], rows, [one.name for one in listed])

    def go_to(self, name: str) -> None:
        """The cursor to that row, if there is one."""
        if name in self._names:
            self.move_cursor(row=self._names.index(name))

    def toggle_mark(self) -> None:
        """Mark the session under the cursor, or take its mark away; the cursor goes on."""
        if self.chosen:
            self.marked ^= {self.chosen}
            self.move_cursor(row=self.cursor_row + 1)

    def renamed(self, name: str, to: str) -> None:
        """The cursor and the mark stay with a session under its other name."""
        self._names = [to if one == name else one for one in self._names]
        self.marked = {to if one == name else one for one in self.marked}

    def _told_names(self, listed: Sequence[Listed]) -> list[str]:
        """The names as they are shown: a search with a sign, its own without its name."""
        signs = ("> ", "v ") if self._ascii_only else ("▸ ", "▾ ")
        told, unfolded = [], ""
        for one in listed:
            search, part = search_and_part(one.name)
            if isinstance(one, SearchRow):
                unfolded = one.search if one.is_unfolded else ""
                told.append(signs[one.is_unfolded] + one.search)
            else:
                told.append(f"  {part}" if unfolded and search == unfolded else one.name)
        return told

    def _name_cell(self, name: str, told: str, room: int) -> Text:
        """Where some are marked, a sign before those and as much room before the others."""
        mark = ("* " if self._ascii_only else "• ") if name in self.marked else "  "
        mark = mark if self.marked else ""
        shown = name_shortened(visible(told), room - len(mark))
        return Text(mark + shown, no_wrap=True, style="bold" if name in self.marked else "")

    def _put(self, heads: Sequence[Text], rows: Sequence[Sequence[Text]], names: list[str]) -> None:
        """Update only changed cells if the rows and columns are the same as before."""
        widths = [
            max(head.cell_len, *(row[place].cell_len for row in rows)) if rows else head.cell_len
            for place, head in enumerate(heads)
        ]
        labels = [(head.plain, width) for head, width in zip(heads, widths, strict=True)]
        if (labels, names) == (self._heads, self._names):
            for at, row in enumerate(rows):
                for place, cell in enumerate(row):
                    if cell != self.get_cell_at(Coordinate(at, place)):
                        self.update_cell_at(Coordinate(at, place), cell)
            return
        chosen, top = self.chosen, self.scroll_y
        self.clear(columns=True)
        for head, width in zip(heads, widths, strict=True):
            self.add_column(head, width=width)
        for row in rows:
            self.add_row(*row)
        self._heads, self._names = labels, names
        if chosen in names:
            self.move_cursor(row=names.index(chosen), scroll=False)
        self.call_after_refresh(self._scroll_back, top)

    def _scroll_back(self, top: float) -> None:
        """Scroll back to the previous position, or to the cursor if that is no longer visible."""
        self.scroll_to(y=top, animate=False, immediate=True)
        self.move_cursor(row=self.cursor_row)
