"""The table of a part's figures: one row per finding, the mean and the table alone below them."""

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
from cxr_tui.widgets.lists import ListTable

ORDERS = ("AUROC", "recipe", "positives", "name", "Δ")
_MARK_WIDTH = 2
_SCROLLBAR = 1
_SORT_BY_HEAD = {
    "finding": "name",
    "auroc": "AUROC",
    "positives": "positives",
    "delta": "Δ",
}


class FindingsTable(ListTable):
    """The rows that the cursor moves over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "images", id="results.images", key_display="enter"),
        Binding("home,g", "scroll_top", "first finding", id="results.first", show=False),
        Binding("end,G", "scroll_bottom", "last finding", id="results.last", show=False),
    ]

    order = ORDERS[0]

    def words_at_hand(self) -> str:
        """What the rows are ordered by, then the other figures."""
        return f"{self.order}  {ORDERS[0]}  {super().words_at_hand()}  table alone"


class ReportTable(Vertical):
    """Shows as many columns as fit; the last rows stay visible while the rest scrolls."""

    DEFAULT_CSS = """
    ReportTable { height: 1fr; }
    ReportTable FindingsTable {
        scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    ReportTable .summary { height: auto; text-style: bold; }
    """

    class Chosen(Message):
        """The cursor moved to another finding."""

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
        """The rows, and the summary that stays visible below them."""
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
        self.order = self.table.order = order
        self._fill()
        return order

    def on_resize(self) -> None:
        """Refit the columns."""
        self._fill()

    def _fill(self) -> None:
        figures, width = self._figures, self.size.width
        filled = (figures, self.size, self.order)
        if figures is None or width == 0 or filled == self._filled:
            return
        self._filled = filled
        summaries = figures.summaries
        # Set explicitly: the table counts its rows only when idle, and had no height while busy.
        most = max(2, self.size.height - len(summaries))
        self.table.styles.height = min(most, 1 + len(figures.findings))
        columns, widths = _laid_out(figures, width - _SCROLLBAR - _MARK_WIDTH)
        rows = _ordered(figures, self.order)
        table = self.table
        table.clear(columns=True)
        table.add_column(Text(""), width=_MARK_WIDTH, key="mark")
        for column, cells in zip(columns, widths, strict=True):
            left = column.key == "finding"
            head = Text(column.head, justify="left" if left else "right")
            table.add_column(head, width=cells, key=column.key)
        for row in rows:
            table.add_row(self._mark(row), *_cells(row, columns, figures))
        self._names = [row.name for row in rows]
        if self.chosen not in self._names:
            self.chosen = self._names[0] if self._names else ""
            self.post_message(self.Chosen(self.chosen))
        if self._names:
            table.move_cursor(row=self._names.index(self.chosen))
        self._show_summary(figures, columns, widths)

    def _show_summary(self, figures: Figures, columns: list[Column], widths: list[int]) -> None:
        lines = []
        for row in figures.summaries:
            cells = [" " * _MARK_WIDTH]
            for column, cell, width in zip(
                columns, figures.cells(row, columns), widths, strict=True
            ):
                cells.append(cell.ljust(width) if column.key == "finding" else cell.rjust(width))
            lines.append("".join(cells))
        self.query_one(Static).update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"))

    def _mark(self, row: FigureRow) -> Text:
        alarm, few = self._marks
        mark = alarm if alarm_of(row.note) else few if row.note else ""
        return Text(f" {mark}")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Report the finding under the cursor; refilled rows are not a move."""
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
        """Sort by the clicked head."""
        event.stop()
        if event.column_key.value in _SORT_BY_HEAD:
            self.sort_by(_SORT_BY_HEAD[str(event.column_key.value)])


def _laid_out(figures: Figures, room: int) -> tuple[list[Column], list[int]]:
    """The columns that fit, and the width of each with the gap before it."""
    needed = {column.key for column in figures.columns() if column.is_needed}
    gap = 2 if needed <= {column.key for column in figures.fitting(room, 2)} else 1
    columns = figures.fitting(room, gap)
    widths = [figures.width(column) + gap for column in columns]
    wider = 1 if room - sum(widths) >= len(columns) else 0
    return columns, [width + wider for width in widths]


def _cells(row: FigureRow, columns: list[Column], figures: Figures) -> list[Text]:
    return [
        Text(cell, justify="left" if column.key == "finding" else "right")
        for column, cell in zip(columns, figures.cells(row, columns), strict=True)
    ]


def _ordered(figures: Figures, order: str) -> list[FigureRow]:
    rows = list(figures.findings)
    if order == "name":
        return sorted(rows, key=lambda row: row.name)
    if order == "recipe":
        return rows
    if order == "positives":
        return sorted(rows, key=lambda row: -(row.figures.positives or 0))
    values = {row.name: row.delta if order == "Δ" else row.figures.auroc for row in rows}
    undefined = float("-inf")  # below every figure
    return sorted(
        rows,
        key=lambda row: -(undefined if values[row.name] is None else values[row.name]),  # type: ignore[operator]
    )
