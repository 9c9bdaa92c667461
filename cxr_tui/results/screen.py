"""5 Results: the honest number of each finding, with what it takes to read it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from core.evaluation.part_scores import (
    PartScores,
    chosen_point,
    wrong_images,
)
from core.evaluation.references import NO_REFERENCE, load_references
from core.words import number_of
from cxr_tui.reports.figure_rows import FigureRow, Figures, figures_of, next_reference, write_tables
from cxr_tui.reports.notes import (
    calibration_titles,
    mean_score,
    notes_of,
    point_lines,
    reference_in_short,
    roc_titles,
    spread_titles,
)
from cxr_tui.results.figures_worker import FiguresScreen, Report
from cxr_tui.results.finding_charts import calibration_chart, roc_chart, spread_chart
from cxr_tui.results.most_wrong import MostWrong
from cxr_tui.results.report_table import ReportTable
from cxr_tui.results.threshold import ThresholdDialog
from cxr_tui.runs.health_text import GRAVE, answers_of, health_pairs
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.health_panel import HealthPanel
from cxr_tui.widgets.titled_chart import TitledChart

PARTS = ("test", "val")
CHARTS = ("roc", "calibration", "spread")


class ResultsScreen(FiguresScreen):
    """The figures of a part, the curves of one finding, and the notes that belong to them."""

    MODE = "results"
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide"), (170, "-widest")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "part(-1)", "previous part", id="results.previous", show=False),
        Binding("full_stop", "part(1)", "test, val", id="results.next", key_display=", ."),
        Binding("t", "threshold", "threshold", id="results.threshold"),
        Binding("g", "reference", "reference", id="results.reference"),
        Binding("e", "export", "export", id="results.export"),
        Binding("c", "chart", "chart", id="results.chart"),
        Binding("v", "notes", "notes", id="results.notes"),
        Binding("z", "large", "large", id="results.large"),
        Binding("o", "order", "order", id="results.order"),
    ]

    class Exported(Message):
        """What became of an export."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__()
        self._figures: Figures | None = None

    def compose_parts(self) -> ComposeResult:
        """Head, table, charts, notes."""
        ascii_only = self.console.ascii_only
        yield Static(id="head", classes="head")
        with VerticalScroll(id="nothing"):
            yield Static(id="missing")
        with Vertical(id="shown"):
            yield ReportTable(ascii_only=ascii_only, id="report")
            with Vertical(id="charts", classes=CHARTS[0]):
                for name in CHARTS:
                    yield TitledChart(ascii_only=ascii_only, id=name)
            with VerticalScroll(id="notes"):
                yield HealthPanel(ascii_only=ascii_only, id="grave")
                yield Static(id="point")
                yield HealthPanel(ascii_only=ascii_only, id="mild")
                yield Static(id="words")

    def refresh_view(self) -> None:
        """Show what is new of the session shown."""
        if not self.query("#words"):
            return  # news come by the clock, and may come before there is anything to show them on
        self._follow_desk()
        report = self._report()
        is_there = not isinstance(report, str)
        newly = is_there and self._figures is None
        self.query_one("#nothing").display = not is_there
        self.query_one("#shown").display = is_there
        self._write("#head", self._head(None if isinstance(report, str) else report))
        if isinstance(report, str):
            self._figures = None
            self._write("#missing", Text(report))
            return
        own = (report.get("reference") or {}).get("column") or NO_REFERENCE
        self._figures = figures_of(report, self._reading.reference or own)
        table = self.query_one(ReportTable)
        table.show(self._figures)
        if newly:
            table.table.focus()
        self._share_rows(len(self._figures.findings))
        self._show_finding(report, table.chosen)

    def on_resize(self) -> None:
        """How many rows the table may have depends on the height."""
        self.refresh_view()

    def on_report_table_chosen(self) -> None:
        """Another finding's curves."""
        self.refresh_view()

    def _head(self, report: Report | None) -> Text:
        shown = self.workspace.shown
        if shown is None:
            return Text()
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f" {visible(shown.name)}", style="bold")
        text.append(f" · {self._reading.part}")
        if report is not None:
            text.append(f": {number_of(report.get('images', 0), 'image')}")
            text.append(f" of {number_of(report.get('patients', 0), 'patient')}")
        if shown.view.best is not None:
            text.append(f" · epoch {shown.view.best.epoch}")
        return text

    def _share_rows(self, findings: int) -> None:
        """The table takes what it needs and the rest what is left, at least a small chart."""
        alone = self.has_class("chart-large") or self.has_class("notes-large")
        table = max(5, min(findings + 4, self.size.height - 13))
        self.query_one("#shown").styles.grid_rows = "1fr" if alone else f"{table} 1fr"

    def _show_finding(self, report: Report, finding: str) -> None:
        figures = self._figures
        row = self._row(finding)
        if figures is None or row is None:
            return
        scores = self._scores()
        known = scores if isinstance(scores, PartScores) else None
        waiting = scores if isinstance(scores, str) else ""
        curves = known.curves.get(finding) if known else None
        point = chosen_point(report, finding, known, self._reading)
        for name, titles, chart in (
            ("roc", roc_titles(finding), roc_chart(curves, point, waiting)),
            (
                "calibration",
                calibration_titles(finding),
                calibration_chart(curves, waiting),
            ),
            ("spread", spread_titles(finding), spread_chart(curves, point, waiting)),
        ):
            self.query_one(f"#{name}", TitledChart).show(titles, chart)
        point_words = point_lines(row, self._reading.part, point, mean_score(curves))
        self._write("#point", Text(point_words))
        self._show_health(report)
        mark = "!" if self.console.ascii_only else "▲"
        lines = [
            f"{mark if note.is_alarm else '·'} {note.text}"
            for note in notes_of(report, figures, finding)
        ]
        lines += [f"· {visible(line)}" for line in self._map_lines(finding)]
        self._write("#words", Text("\n".join(lines)))

    def _show_health(self, report: Report) -> None:
        """What makes the figures doubtful stands before them, the rest below."""
        answers = answers_of(report)
        grave = [answer for answer in answers if answer.severity in GRAVE]
        self.query_one("#grave", HealthPanel).show(grave)
        mild = [answer for answer in answers if answer not in grave]
        self.query_one("#mild", HealthPanel).show(mild)

    def _map_lines(self, finding: str) -> list[str]:
        """Where the network looks, of the test part."""
        if self._cache is None or self._reading.part != "test":
            return []
        lines = self._cache.localization()
        return [line for line in lines if line.startswith(f"{finding}: ")]

    def _row(self, finding: str) -> FigureRow | None:
        rows = self._figures.findings if self._figures else ()
        return next((row for row in rows if row.name == finding), None)

    def _write(self, where: str, text: Text) -> None:
        """Nothing is laid out again where nothing changed."""
        static = self.query_one(where, Static)
        if static.content != text:
            static.update(text)

    def action_part(self, by: int) -> None:
        """The other part."""
        position = PARTS.index(self._reading.part) + by
        self._reading.part = PARTS[position % len(PARTS)]
        self.refresh_view()

    def action_reference(self) -> None:
        """The next published column, or none."""
        if self._figures is None:
            return
        at_hand = self._figures.reference
        name = NO_REFERENCE if at_hand is None else at_hand.reference.column
        self._reading.reference = next_reference(name, tuple(load_references()))
        self.refresh_view()
        shown = self._figures.reference
        self.console.say("no reference" if shown is None else reference_in_short(shown))

    def action_threshold(self) -> None:
        """Ask for another threshold."""
        report = self._report()
        finding = self.query_one(ReportTable).chosen
        if isinstance(report, str) or not finding:
            return
        by_hand = self._reading.by_hand.get(finding)
        at_hand = (self._reading.rule or "") if by_hand is None else f"{by_hand:g}"
        dialog = ThresholdDialog(finding, str(report.get("operating_point")), at_hand)
        self.app.push_screen(dialog, lambda answer: self._on_threshold(finding, answer))

    def _on_threshold(self, finding: str, answer: str | float | None) -> None:
        if answer is not None:
            self._reading.take_threshold(answer, finding)
            self.refresh_view()

    def action_order(self) -> None:
        """Sort the table by the next column."""
        self.console.say(f"ordered by {self.query_one(ReportTable).next_order()}")

    def action_chart(self) -> None:
        """The next chart, where there is room for one only."""
        charts = self.query_one("#charts")
        at_hand = next(name for name in CHARTS if charts.has_class(name))
        charts.set_classes(CHARTS[(CHARTS.index(at_hand) + 1) % len(CHARTS)])

    def action_large(self) -> None:
        """The charts alone, or all again."""
        self._enlarge("chart-large")

    def action_notes(self) -> None:
        """The notes alone, or all again."""
        self._enlarge("notes-large")

    def _enlarge(self, which: str) -> None:
        if self._figures is None:  # nothing to make large; the figures would open without a table
            return
        is_large = self.has_class(which)
        self._make_small()
        if not is_large:
            self.add_class(which)
            self.query_one("#notes").focus()
        self.refresh_view()

    def _make_small(self) -> None:
        self.remove_class("chart-large", "notes-large")
        self.query_one(ReportTable).table.focus()

    def step_out(self) -> bool:
        """What is large becomes small again first."""
        was_large = self.has_class("chart-large") or self.has_class("notes-large")
        if was_large:
            self._make_small()
            self.refresh_view()
        return was_large

    def on_report_table_opened(self, message: ReportTable.Opened) -> None:
        """The images of the finding by error."""
        scores = self._scores()
        if self._cache is None or isinstance(scores, str):
            self.console.say(str(scores))
            return
        folder = self._cache.session.path
        lists = wrong_images(scores, message.finding)
        self.app.push_screen(MostWrong(message.finding, scores.part, folder, *lists))

    def action_export(self) -> None:
        """The table as CSV and Markdown, in the session's directory."""
        report = self._report()
        if self._figures is None or self._cache is None or isinstance(report, str):
            return
        title = self._head(report).plain.strip()
        notes = [" ".join(pair) for pair in health_pairs(answers_of(report))]
        notes += [note.text for note in notes_of(report, self._figures, "")]
        stem = self._cache.session.path / f"results-{self._reading.part}"
        self._write_tables(stem, self._figures, title, notes)

    @work(thread=True, group="export", description="write the tables")
    def _write_tables(self, stem: Path, figures: Figures, title: str, notes: list[str]) -> None:
        try:
            written = write_tables(stem, figures, title, notes)
        except OSError as error:
            self.post_message(self.Exported(f"{stem} can't be written ({error.strerror})"))
            return
        names = " and ".join(path.name for path in written)
        self.post_message(self.Exported(f"written: {names} in {stem.parent}"))

    def on_results_screen_exported(self, message: Exported) -> None:
        """Say where it is."""
        self.console.say(message.text)
