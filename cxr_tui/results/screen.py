"""5 Results: the figures of each finding, with what is needed to read them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from core.evaluation.part_scores import (
    FindingCurves,
    OperatingPoint,
    PartScores,
    Reading,
    chosen_point,
    wrong_images,
)
from core.evaluation.references import NO_REFERENCE
from core.report_shape import PartReport
from cxr_tui.console.part_figures import PartFigures
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.workspace import ImageToLookAt
from cxr_tui.reports.figure_rows import (
    FigureRow,
    Figures,
    figures_of,
    next_reference,
    title_of,
)
from cxr_tui.reports.notes import (
    mean_score,
    notes_of,
    point_lines,
    reference_in_short,
)
from cxr_tui.results.export import ResultsExport
from cxr_tui.results.finding_charts import FindingChart, finding_charts
from cxr_tui.results.most_wrong import MostWrong
from cxr_tui.results.report_at_hand import is_external, report_at_hand
from cxr_tui.results.report_table import ReportTable
from cxr_tui.results.subgroups import Subgroups
from cxr_tui.results.threshold import ThresholdDialog
from cxr_tui.results.worth import WorthDialog
from cxr_tui.results.wrong_rows import WrongReader, WrongRows
from cxr_tui.runs.health_text import GRAVE, answers_of, health_pairs
from cxr_tui.terminal.hanging import hanging_rows
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.chart_export import ChartExport
from cxr_tui.widgets.health_panel import HealthPanel
from cxr_tui.widgets.lists import SearchedText, TextScroll
from cxr_tui.widgets.titled_chart import TitledChart

PARTS = ("test", "val")
CHARTS = ("roc", "calibration", "spread")

_WIDEST_FROM = 170
"""Columns from which all charts, and images, are beside each other."""

_LINES_AROUND, _LEAST_NOTES = 3, 12
_LEAST_WRONG_LINES, _MOST_WRONG_LINES = 17, 29
"""Two rows of four images with title and caption: of 6 and of 12 lines, below a border."""


class ResultsScreen(ConsoleScreen):
    """The figures of a part, the curves of one finding, and their notes."""

    MODE = "results"
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide"), (_WIDEST_FROM, "-widest")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "part(-1)", "previous part", id="results.previous", show=False),
        Binding("full_stop", "part(1)", "test, val", id="results.next", key_display=", ."),
        Binding("u", "app.reuse_shown", "reuse recipe", id="results.reuse", show=False),
        Binding("t", "threshold", "threshold", id="results.threshold"),
        Binding("B", "reference", "reference", id="results.reference"),
        Binding("e", "export", "export", id="results.export"),
        Binding("c", "chart", "chart", id="results.chart"),
        Binding("v", "notes", "notes", id="results.notes"),
        Binding("z", "large", "zoom", id="results.large"),
        Binding("O", "order", "order", id="results.order"),
        Binding("W", "subgroups", "groups", id="results.subgroups"),
        Binding("D", "worth", "worth of a score", id="results.worth"),
    ]

    NEEDS_SOMETHING = frozenset(
        {
            *("threshold", "reference", "export", "chart", "notes", "subgroups", "large"),
            *("order", "worth"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._known, self._reading = PartFigures(), Reading()
        self._reader = WrongReader()
        self._figures: Figures | None = None
        self._noted: list[tuple[str, str]] = []

    def compose_parts(self) -> ComposeResult:
        """Head, table, charts, notes."""
        ascii_only = self.console.ascii_only
        yield self._known
        yield self._reader
        yield Static(id="head", classes="head")
        with VerticalScroll(id="nothing"):
            yield Static(id="missing")
        with Vertical(id="shown"):
            yield ReportTable(ascii_only=ascii_only, id="report")
            with Vertical(id="charts", classes=CHARTS[0]):
                for name in CHARTS:
                    yield TitledChart(ascii_only=ascii_only, id=name)
            with TextScroll(id="notes"):
                yield HealthPanel(ascii_only=ascii_only, id="grave")
                yield SearchedText(id="point")
                yield HealthPanel(ascii_only=ascii_only, id="mild")
                yield SearchedText(id="words")
            yield WrongRows(ascii_only=ascii_only, id="wrong")

    def refresh_view(self) -> None:
        """Show news of the session shown."""
        if not self.query("#words"):
            return  # the timer may fire before there are widgets
        shown = self.workspace.shown
        if self._known.follow(None if shown is None else shown.session):
            self._reading = Reading()  # another session starts with the defaults
        report = self._report()
        is_there = not isinstance(report, str)
        newly = is_there and self._figures is None
        self.query_one("#nothing").display = not is_there
        self.query_one("#shown").display = is_there
        self._write("#head", self._head(None if isinstance(report, str) else report))
        if isinstance(report, str):
            self._figures = None
            self.follow_keys()
            self._write("#missing", Text(report))
            return
        self._figures = figures_of(report, self._reading.reference)
        table = self.query_one(ReportTable)
        table.show(self._figures)
        self.follow_keys()
        if newly:
            table.table.focus()
        self._share_rows(len(self._figures.findings))
        self._show_finding(report, table.chosen)

    def has_something(self) -> bool:
        """Whether there are figures."""
        return self._figures is not None

    def on_part_figures_known(self) -> None:
        """Figures of val, or scores with their curves."""
        self.refresh_view()

    def on_resize(self) -> None:
        """The number of table rows depends on the height."""
        self.refresh_view()

    def on_report_table_chosen(self) -> None:
        """Another finding's curves."""
        self.refresh_view()

    def _report(self) -> PartReport | str:
        report = report_at_hand(self.workspace.shown, self._known, self._reading.part)
        if isinstance(report, str) or self._reading.part != "test" or not self.is_current:
            return report
        return report.counted(self._known.looks())

    def _head(self, report: PartReport | None) -> Text:
        shown = self.workspace.shown
        if shown is None:
            return Text()
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f" {visible(shown.name)}", style="bold")
        part = self._reading.part
        if is_external(part):
            text.append(f" · {visible(part)}")
        if report is not None or not is_external(part):
            text.append(f" · {part if report is None else visible(title_of(report))}")
        if shown.view.best is not None:
            text.append(f" · epoch {shown.view.best.epoch}")
        return text

    def _share_rows(self, findings: int) -> None:
        """The table gets the rows it needs, images what is beyond the notes, charts the rest."""
        alone = self.has_class("chart-large") or self.has_class("notes-large")
        table = max(5, min(findings + 4, self.size.height - 13))
        left = self.size.height - _LINES_AROUND - table - _LEAST_NOTES
        wrong = min(left, _MOST_WRONG_LINES) if self.size.width >= _WIDEST_FROM else 0
        self.set_class(wrong >= _LEAST_WRONG_LINES and not alone, "with-wrong")
        below = f"1fr {wrong}" if self.has_class("with-wrong") else "1fr"
        self.query_one("#shown").styles.grid_rows = "1fr" if alone else f"{table} {below}"

    def _show_finding(self, report: PartReport, finding: str) -> None:
        figures = self._figures
        row = self._row(finding)
        if figures is None or row is None:
            return
        for name, _, titles, chart in self._charts(report, finding):
            self.query_one(f"#{name}", TitledChart).show(titles, chart)
        part, scores = self._reading.part, self._known.scores(self._reading.part)
        known = scores if isinstance(scores, PartScores) else None
        self.query_one(WrongRows).show(self._known.version(part), known, finding)
        curves, point = self._curves(report, finding)
        point_words = point_lines(row, self._reading.part, point, mean_score(curves))
        self._write("#point", Text(point_words))
        self._show_health(report)
        mark = "!" if self.console.ascii_only else "▲"
        notes = [
            (mark if note.is_alarm else "·", note.text)
            for note in notes_of(report, figures, finding)
        ]
        notes += [("·", line) for line in self._map_lines(finding)]
        if notes != self._noted:  # to avoid a new layout
            self._noted = notes
            self.query_one("#words", Static).update(hanging_rows(notes))

    def _charts(self, report: PartReport, finding: str) -> list[FindingChart]:
        scores = self._known.scores(self._reading.part)
        waiting = scores if isinstance(scores, str) else ""
        return finding_charts(finding, *self._curves(report, finding), waiting)

    def _curves(
        self, report: PartReport, finding: str
    ) -> tuple[FindingCurves | None, OperatingPoint]:
        scores = self._known.scores(self._reading.part)
        known = scores if isinstance(scores, PartScores) else None
        curves = known.curves.get(finding) if known else None
        return curves, chosen_point(report, finding, known, self._reading)

    def _show_health(self, report: PartReport) -> None:
        """Severe diagnoses are shown above the figures, the rest below."""
        answers = answers_of(report.health)
        grave = [answer for answer in answers if answer.severity in GRAVE]
        self.query_one("#grave", HealthPanel).show(grave)
        mild = [answer for answer in answers if answer not in grave]
        self.query_one("#mild", HealthPanel).show(mild)

    def _map_lines(self, finding: str) -> list[str]:
        """Where the network looks, for the test part."""
        if self._known.cache is None or self._reading.part != "test":
            return []
        lines = self._known.cache.localization()
        return [line for line in lines if line.startswith(f"{finding}: ")]

    def _row(self, finding: str) -> FigureRow | None:
        rows = self._figures.findings if self._figures else ()
        return next((row for row in rows if row.name == finding), None)

    def _write(self, where: str, text: Text) -> None:
        """Update only if the text changed, to avoid a new layout."""
        static = self.query_one(where, Static)
        if static.content != text:
            static.update(text)

    def action_part(self, by: int) -> None:
        """The next part, or other data set."""
        cache = self._known.cache
        parts = (*PARTS, *(() if cache is None else cache.session.external_parts()))
        at = parts.index(self._reading.part) if self._reading.part in parts else 0
        self._reading.part = parts[(at + by) % len(parts)]
        self.refresh_view()

    def action_reference(self) -> None:
        """The next published column, or none."""
        if self._figures is None:
            return
        at_hand = self._figures.reference
        name = NO_REFERENCE if at_hand is None else at_hand.reference.column
        self._reading.reference = next_reference(name, self._figures.published)
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
        dialog = ThresholdDialog(finding, report.operating_point, at_hand)
        self.app.push_screen(dialog, lambda answer: self._on_threshold(finding, answer))

    def _on_threshold(self, finding: str, answer: str | float | None) -> None:
        if answer is not None:
            self._reading.take_threshold(answer, finding)
            self.refresh_view()

    def action_worth(self) -> None:
        """Calibration, net benefit, and PPV and NPV at one's own prevalence."""
        report, finding = self._report(), self.query_one(ReportTable).chosen
        if isinstance(report, str) or not finding:
            return
        scores = self._known.scores(self._reading.part)
        known = scores if isinstance(scores, PartScores) else None
        _, point = self._curves(report, finding)
        ascii_only = self.console.ascii_only
        self.app.push_screen(
            WorthDialog(report, finding, known, point.threshold, ascii_only=ascii_only)
        )

    def action_order(self) -> None:
        """Sort the table by the next column."""
        self.console.say(f"ordered by {self.query_one(ReportTable).next_order()}")

    def action_chart(self) -> None:
        """Show the next chart, if only one fits."""
        charts = self.query_one("#charts")
        at_hand = next(name for name in CHARTS if charts.has_class(name))
        charts.set_classes(CHARTS[(CHARTS.index(at_hand) + 1) % len(CHARTS)])

    def action_subgroups(self) -> None:
        """The finding's figures by group."""
        report, finding = self._report(), self.query_one(ReportTable).chosen
        if isinstance(report, str) or not finding:
            return
        if not report.subgroups:
            self.console.say("no subgroups: the table has no sex, age or view that differs")
            return
        self.app.push_screen(Subgroups(finding, self._reading.part, report))

    def action_large(self) -> None:
        """Show only the charts, or everything again."""
        self._enlarge("chart-large")

    def action_notes(self) -> None:
        """Show only the notes, or everything again."""
        self._enlarge("notes-large")

    def _enlarge(self, which: str) -> None:
        if self._figures is None:  # nothing to enlarge; the figures would open without a table
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
        """First shrink what is enlarged."""
        was_large = self.has_class("chart-large") or self.has_class("notes-large")
        if was_large:
            self._make_small()
            self.refresh_view()
        return was_large

    def on_report_table_opened(self, message: ReportTable.Opened) -> None:
        """The images of the finding by error."""
        scores, cache = self._known.scores(self._reading.part), self._known.cache
        if isinstance(scores, str):
            self.console.say(scores)
            return
        if cache is None:  # its session is no longer shown
            return
        folder = cache.session.path
        lists = wrong_images(scores, message.finding)
        self.app.push_screen(MostWrong(message.finding, scores.part, folder, *lists))

    def on_wrong_rows_wanted(self, message: WrongRows.Wanted) -> None:
        """Read the most wrong images of the finding at the cursor."""
        self._reader.ask(message)

    def on_wrong_reader_read(self, message: WrongReader.Read) -> None:
        """Show them."""
        self.query_one(WrongRows).put_read(message.asked, message.rows)

    def on_xray_rows_chosen(self, message: WrongRows.Chosen) -> None:
        """Show the image that was clicked on with its map; Escape returns here."""
        if self._known.cache is not None:
            self.workspace.image_to_look_at = ImageToLookAt(
                self._known.cache.session.path,
                message.image,
                self.query_one(ReportTable).chosen,
                back_to=self.MODE,
                part=self._reading.part if is_external(self._reading.part) else "",
            )
            self.console.action_mode("cams")

    def action_export(self) -> None:
        """Export the table and the current finding's charts to the session's directory."""
        report = self._report()
        if self._figures is None or self._known.cache is None or isinstance(report, str):
            return
        title = self._head(report).plain.strip()
        notes = [" ".join(pair) for pair in health_pairs(answers_of(report.health))]
        notes += [note.text for note in notes_of(report, self._figures)]
        folder, part = self._known.cache.session.path, self._reading.part.replace("/", "-")
        finding = self.query_one(ReportTable).chosen
        charts = [
            ChartExport(folder, f"{name}-{finding}-{part}", f"{what} of {finding}, {part}", chart)
            for name, what, _, chart in self._charts(report, finding)
        ]
        scores = self._known.scores(self._reading.part)
        why = scores if isinstance(scores, str) else ""
        self._export(ResultsExport(folder, part, self._figures, title, notes, finding, charts, why))

    @work(thread=True, group="export", description="write tables and charts")
    def _export(self, export: ResultsExport) -> None:
        self.console.say(export.write())
