"""The marked sessions beside each other: differences of their figures, and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from core.errors import CxrError
from core.words import number_of
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.reports.comparison_table import TableRows, auroc_rows
from cxr_tui.reports.looks import looks_words
from cxr_tui.sessions.compared_curves import AXES, CURVES, Compared, curves_chart, curves_titles
from cxr_tui.terminal.hanging import hanging_rows
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import shortened, visible
from cxr_tui.widgets.lists import ListTable, SearchedText, TextScroll
from cxr_tui.widgets.titled_chart import TitledChart

if TYPE_CHECKING:
    from pathlib import Path

_DROPPED = ("p (Holm)", "A", "B")
"""Columns that a narrow terminal does without, in this order."""

_CELL_PADDING = 2


class ComparedTable(ListTable):
    """A row per finding, the mean last; as many columns as fit."""

    def __init__(self) -> None:
        super().__init__(id="differences", cursor_type="row")
        self._table: TableRows | None = None

    def show(self, table: TableRows) -> None:
        """Show these rows."""
        self._table = table
        self._fill()

    def on_resize(self) -> None:
        """Refit the columns."""
        self._fill()

    def _fill(self) -> None:
        table, width = self._table, self.size.width
        if table is None or not width:
            return
        columns = {
            head: [head, *(row[place] for row in table.rows)]
            for place, head in enumerate(table.head)
        }
        for head in _DROPPED:
            if sum(max(map(len, cells)) + _CELL_PADDING for cells in columns.values()) > width - 1:
                columns.pop(head, None)
        row = self.cursor_row
        self.clear(columns=True)
        left = {table.head[0], table.head[-1]}
        for head in columns:
            self.add_column(Text(head, justify="left" if head in left else "right"))
        for cells in zip(*(cells[1:] for cells in columns.values()), strict=True):
            self.add_row(
                *(
                    Text(visible(cell), justify="left" if head in left else "right", no_wrap=True)
                    for head, cell in zip(columns, cells, strict=True)
                )
            )
        self.move_cursor(row=row)
        self.refresh(layout=True)  # its height follows its rows


class ComparisonScreen(ConsoleScreen):
    """What ``cxr-tui compare`` prints, with the loss and AUROC curves over each other."""

    MODE = "sessions"
    AUTO_FOCUS = "#differences"
    CSS = """
    ComparisonScreen #all { height: 1fr; layout: vertical; }
    ComparisonScreen #left { height: 2fr; }
    ComparisonScreen #differences {
        height: auto; max-height: 100%; scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    ComparisonScreen #notes { height: 1fr; min-height: 2; padding: 0 1; }
    ComparisonScreen TitledChart { height: 1fr; display: none; }
    ComparisonScreen #pair { height: auto; max-height: 4; padding: 0 1; }
    ComparisonScreen.-high TitledChart { display: block; border-top: solid $panel; }
    ComparisonScreen.-big #all { layout: horizontal; }
    ComparisonScreen.-big #left { width: 3fr; height: 1fr; }
    ComparisonScreen.-big TitledChart {
        display: block; width: 2fr; height: 1fr; border-top: none; border-left: solid $panel;
    }
    ComparisonScreen.chart-large #left { display: none; }
    ComparisonScreen.chart-large TitledChart { display: block; border: none; width: 1fr; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-big")]  # noqa: RUF012 - Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-high")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "pair(-1)", "previous pair", id="compared.previous", show=False),
        Binding("full_stop", "pair(1)", "next pair", id="compared.next", key_display=", ."),
        Binding("c", "chart", "chart", id="compared.chart"),
        # Before the table's: it would move a cursor that goes over whole rows.
        Binding(
            "right", "axis", "epoch, step, time", id="compared.axis", key_display="→", priority=True
        ),
        Binding("z", "zoom", "zoom", id="compared.large"),
        Binding("escape,backspace", "app.step_out", "back", id="compared.back", key_display="esc"),
    ]

    class Done(Message):
        """The figures, or why there are none."""

        def __init__(self, report: dict[str, Any] | None, refusal: str) -> None:
            super().__init__()
            self.report, self.refusal = report, refusal

    def __init__(self, sessions: Path, compared: Sequence[Compared]) -> None:
        super().__init__()
        self._folder, self._compared = sessions, tuple(compared)
        self._report: dict[str, Any] | None = None
        self._pair = 0
        self._curve, self._axis = CURVES[0], AXES[0]

    def compose_parts(self) -> ComposeResult:
        """A head, the table with its notes, the chart."""
        yield Static(self._head("comparing"), id="head", classes="head")
        with Horizontal(id="all"):
            with Vertical(id="left"):
                yield Static(id="pair")
                yield ComparedTable()
                with TextScroll(id="notes"):
                    yield SearchedText()
            yield TitledChart(ascii_only=self.console.ascii_only)

    def on_mount(self) -> None:
        """Compare on a thread; the curves are there at once."""
        self._show_chart()
        self._compare([one.name for one in self._compared])

    @work(thread=True, exclusive=True, group="compare", description="compare sessions")
    def _compare(self, names: list[str]) -> None:
        from core.evaluation.comparing.compare import compare_runs, noted_looks
        from core.evaluation.comparing.scored_runs import read_runs

        try:
            runs = read_runs(names, self._folder)
            report, refusal = compare_runs(runs), ""
            looks = noted_looks(runs, self._folder)
            report["looks"] = looks.as_json() if looks else None
        except CxrError as error:
            report, refusal = None, str(error)
        self.post_message(self.Done(report, refusal))

    def on_comparison_screen_done(self, message: Done) -> None:
        """Show the first pair, or the refusal where the figures would stand."""
        self._report = message.report
        if message.report is None:
            self.query_one("#head", Static).update(self._head("not compared"))
            self.query_one("#differences").display = False
            self._show_notes([message.refusal])
            return
        images = number_of(message.report["images"], "image")
        patients = number_of(message.report["patients"], "patient")
        self.query_one("#head", Static).update(self._head(f"test: {images} of {patients}"))
        self._show_pair()

    def _head(self, words: str) -> Text:
        count = number_of(len(self._compared), "session")
        return Text(f" {count} · {words}", no_wrap=True, overflow="ellipsis")

    @property
    def _pairs(self) -> list[dict[str, Any]]:
        if self._report is None:
            return []
        return list(self._report["comparisons"] or [self._report])

    def _show_pair(self) -> None:
        pairs = self._pairs
        pair = pairs[self._pair]
        width = max(20, self.size.width - 6)
        lines = [f"A  {pair['a']}", f"B  {pair['b']}"]
        if len(pairs) > 1:
            keys = f"{key_of('compared.previous')} {key_of('compared.next')}"
            lines.append(f"pair {self._pair + 1} of {len(pairs)}, {keys} for another")
        shown = "\n".join(shortened(visible(line), width) for line in lines)
        self.query_one("#pair", Static).update(Text(shown))
        table = auroc_rows(pair)
        self.query_one(ComparedTable).show(table)
        looks = (self._report or {}).get("looks")
        told = looks_words(looks["times"], looks["sessions"], looks["warning"]) if looks else ()
        self._show_notes([*table.notes, *told])
        self.follow_keys(self._pair)

    def _show_notes(self, notes: Sequence[str]) -> None:
        self.query_one(SearchedText).update(hanging_rows(("·", note) for note in notes))

    def _show_chart(self) -> None:
        chart = curves_chart(self._compared, self._curve, self._axis)
        titles = curves_titles(self._compared, self._curve, self._axis)
        self.query_one(TitledChart).show(titles, chart)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Other pairs are only where there are several."""
        return action != "pair" or len(self._pairs) > 1

    def action_pair(self, by: int) -> None:
        """Show another pair."""
        self._pair = (self._pair + by) % len(self._pairs)
        self._show_pair()

    def action_chart(self) -> None:
        """Show the next curve."""
        self._curve = CURVES[(CURVES.index(self._curve) + 1) % len(CURVES)]
        self._show_chart()

    def action_axis(self) -> None:
        """Draw over the next of epochs, steps and time."""
        self._axis = AXES[(AXES.index(self._axis) + 1) % len(AXES)]
        self._show_chart()

    def action_zoom(self) -> None:
        """The chart alone, or the table again."""
        self.toggle_class("chart-large")

    def step_out(self) -> bool:
        """Back to the list."""
        self.dismiss(None)
        return True
