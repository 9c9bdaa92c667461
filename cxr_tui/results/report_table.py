"""The table of a part's figures: a row a finding, the mean and the table alone under them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, Static

from cxr_tui.reports.figure_rows import Column, FigureRow, Figures
from cxr_tui.reports.notes import alarm_of

ORDERS = ("AUROC", "recipe", "positives", "name", "Δ")
_MARK_WIDTH = 2
_SCROLLBAR = 1

# What gives way first where the columns don't fit is last.
_BY_IMPORTANCE = ("finding", "auroc", "interval", "positives", "reference", "delta", "view")
_SORT_BY_HEAD = {
    "finding": "name",
    "auroc": "AUROC",
    "positives": "positives",
    "delta": "Δ",
}


class FindingsTable(DataTable[Text]):
    """The rows that the cursor goes over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "images", id="results.images", key_display="enter"),
        Binding("home", "scroll_top", "first finding", id="results.first", show=False),
        Binding("end", "scroll_bottom", "last finding", id="results.last", show=False),
    ]


class ReportTable(Vertical):
    """Shows as many columns as fit; the last rows stay in sight while the rest scrolls."""

    DEFAULT_CSS = """
    ReportTable { height: 1fr; }
    ReportTable FindingsTable {
        scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    ReportTable .summary { height: auto; text-style: bold; }
    """

    class Chosen(Message):
        """The cursor went to another finding."""

        def __init__(self, finding: str) -> None:
            super().__init__()
            self.finding = finding

    class Opened(Message):
        """Enter on a finding."""

        def __init__(self, finding: str) -> None:
            super().__init__()
            self.finding = finding

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._marks = ("!", ".") if ascii_only else ("▲", "·")
        self._figures: Figures | None = None
        self._filled: tuple[object, ...] = ()
        self._names: list[str] = []
        self.chosen = ""
        self.order = ORDERS[0]

    def compose(self) -> ComposeResult:
        """The rows, and what stays in sight under them."""
        yield FindingsTable(cursor_type="row", cell_padding=0)
        yield Static(classes="summary")

    @property
    def table(self) -> FindingsTable:
        """The rows."""
        return self.query_one(FindingsTable)

    def show(self, figures: Figures) -> None:
        """Show these; the cursor stays on its finding."""
        self._figures = figures
        self._fill()

    def next_order(self) -> str:
        """Sort by the next column."""
        orders = [
            order
            for order in ORDERS
            if order != "Δ" or (self._figures is not None and self._figures.reference_is_shown)
        ]
        position = orders.index(self.order) if self.order in orders else -1
        return self.sort_by(orders[(position + 1) % len(orders)])

    def sort_by(self, order: str) -> str:
        """Sort by that column."""
        self.order = order
        self._fill()
        return order

    def on_resize(self) -> None:
        """Other columns fit."""
        self._fill()

    def _fill(self) -> None:
        figures, width = self._figures, self.size.width
        filled = (figures, self.size, self.order)
        if figures is None or width == 0 or filled == self._filled:
            return
        self._filled = filled
        summaries = figures.summaries
        # Given: the table counts its rows only when idle, and a busy one was seen without height.
        most = max(2, self.size.height - len(summaries))
        self.table.styles.height = min(most, 1 + len(figures.findings))
        columns, gap = fitting(figures.columns(), _widest_name(figures), width - _SCROLLBAR)
        widths = [_width(column, figures) + gap for column in columns]
        rows = _ordered(figures, self.order)
        table = self.table
        table.clear(columns=True)
        table.add_column(Text(""), width=_MARK_WIDTH, key="mark")
        for column, cells in zip(columns, widths, strict=True):
            left = column.key == "finding"
            head = Text(column.head, justify="left" if left else "right")
            table.add_column(head, width=cells, key=column.key)
        for row in rows:
            table.add_row(self._mark(row), *_cells(row, columns))
        self._names = [row.name for row in rows]
        if self.chosen not in self._names:
            self.chosen = self._names[0] if self._names else ""
            self.post_message(self.Chosen(self.chosen))
        if self._names:
            table.move_cursor(row=self._names.index(self.chosen))
        self._show_summary(summaries, columns, widths)

    def _show_summary(
        self, rows: list[FigureRow], columns: list[Column], widths: list[int]
    ) -> None:
        lines = []
        for row in rows:
            cells = [" " * _MARK_WIDTH]
            for column, cell, width in zip(columns, _cells(row, columns), widths, strict=True):
                text = "" if cell.plain == "–" else cell.plain
                cells.append(text.ljust(width) if column.key == "finding" else text.rjust(width))
            lines.append("".join(cells))
        self.query_one(Static).update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"))

    def _mark(self, row: FigureRow) -> Text:
        alarm, few = self._marks
        mark = alarm if alarm_of(row.note) else few if row.note else ""
        return Text(f" {mark}")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Tell which finding the cursor is on; rows being filled again are no move."""
        event.stop()
        row = self.table.cursor_row
        if 0 <= row < len(self._names) and self._names[row] != self.chosen:
            self.chosen = self._names[row]
            self.post_message(self.Chosen(self.chosen))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a row."""
        event.stop()
        if self.chosen:
            self.post_message(self.Opened(self.chosen))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a head sorts by it."""
        event.stop()
        if event.column_key.value in _SORT_BY_HEAD:
            self.sort_by(_SORT_BY_HEAD[str(event.column_key.value)])


def fitting(columns: list[Column], name_width: int, width: int) -> tuple[list[Column], int]:
    """The columns that fit, the least important left out, and the gap before each."""

    def importance(column: Column) -> int:
        kind = column.key.partition(".")[0]
        return _BY_IMPORTANCE.index(kind) if kind in _BY_IMPORTANCE else len(_BY_IMPORTANCE)

    def wide(column: Column) -> int:
        return name_width if column.key == "finding" else column.width

    room = width - _MARK_WIDTH
    ordered = sorted(columns, key=importance)  # stable: the rest in the table's order
    needed = [column for column in ordered if importance(column) < len(_BY_IMPORTANCE)]
    gap = 2 if sum(wide(column) + 2 for column in needed) <= room else 1
    kept: list[Column] = []
    for column in ordered:
        if wide(column) + gap > room:
            break
        room -= wide(column) + gap
        kept.append(column)
    gap += 1 if room >= len(kept) else 0
    return [column for column in columns if column in kept], gap


def _width(column: Column, figures: Figures) -> int:
    return _widest_name(figures) if column.key == "finding" else column.width


def _widest_name(figures: Figures) -> int:
    return max([11, *(len(row.name) for row in figures.findings)])


def _cells(row: FigureRow, columns: list[Column]) -> list[Text]:
    return [
        Text(column.cell(row), justify="left" if column.key == "finding" else "right")
        for column in columns
    ]


def _ordered(figures: Figures, order: str) -> list[FigureRow]:
    rows = list(figures.findings)
    if order == "name":
        return sorted(rows, key=lambda row: row.name)
    if order == "recipe":
        return rows
    if order == "positives":
        return sorted(rows, key=lambda row: -(row.positives or 0))
    values = {row.name: row.delta if order == "Δ" else row.auroc for row in rows}
    undefined = float("-inf")  # below every figure
    return sorted(
        rows,
        key=lambda row: -(undefined if values[row.name] is None else values[row.name]),  # type: ignore[operator]
    )
