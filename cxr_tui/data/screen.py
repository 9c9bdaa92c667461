"""2 Data: which images, how they are parted, and what to know before training on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import DataTable, Static

from core.errors import CxrError
from core.findings import PRESENT
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from cxr_tui.console.dialogs import ValueDialog
from cxr_tui.data.balance_chart import BalanceChart
from cxr_tui.data.co_occurrence import CoOccurrence
from cxr_tui.data.dialogs import FindingsDialog
from cxr_tui.data.fields import (
    Choice,
    balanced,
    choices_of,
    percent,
    stepped,
    typed,
    with_chosen_findings,
)
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.data.notes import notes_of, part_table
from cxr_tui.data.recent_data_sets import DataSet, recent_data_sets
from cxr_tui.data.survey_worker import SurveyingScreen
from cxr_tui.data.text import (
    fields_text,
    finding_text,
    head_text,
    notes_text,
    nothing_text,
    refusal_text,
)
from cxr_tui.runs.health_text import answers_of
from cxr_tui.widgets.health_panel import HealthPanel

_BIG_COLUMNS, _TALL_ROWS = 160, 36
"""From so many columns notes stand beside the chart; from so many rows all findings are shown."""


_NEED_A_SURVEY = ("findings", "balance", "co_occurrence", "field", "change", "notes")


class DataScreen(SurveyingScreen):
    """Shows what is known of the draft's data set, and changes what is chosen in it."""

    MODE = "data"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "#chart"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "open", id="data.open"),
        Binding("f", "findings", "findings", id="data.findings"),
        Binding("b", "balance", "balance", id="data.balance"),
        Binding("x", "co_occurrence", "co-occurrence", id="data.co_occurrence"),
        Binding("comma", "field(-1)", "field", id="data.previous", key_display=", ."),
        Binding("full_stop", "field(1)", "next field", id="data.next", show=False),
        Binding("left", "change(-1)", "change", id="data.decrease", key_display="← →"),
        Binding("right", "change(1)", "more", id="data.increase", show=False),
        Binding("enter", "edit", "type it", id="data.type", show=False),
        Binding("z", "notes", "all notes", id="data.notes", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._field = 0
        self._matrix = False

    def compose_parts(self) -> ComposeResult:
        """Head; chart, matrix, the finding at hand and the fields; beside or under them notes."""
        ascii_only = self.console.ascii_only
        yield Static(id="head", classes="head")
        yield Static(id="nothing")
        with Container(id="shown"):
            with Vertical(id="left"):
                yield BalanceChart(ascii_only=ascii_only, id="chart")
                yield CoOccurrence(id="matrix")
                yield Static(id="finding")
                yield Static(id="fields")
            with VerticalScroll(id="notes"):
                yield HealthPanel(ascii_only=ascii_only, id="health")
                yield Static(id="note_lines")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Most keys need a data set that was read."""
        return self._survey is not None or action not in _NEED_A_SURVEY

    def on_resize(self) -> None:
        """Put side by side what there is room for."""
        self.set_class(self.size.width >= _BIG_COLUMNS, "-big")
        self.set_class(self.size.height >= _TALL_ROWS, "-tall")
        self.show_survey()

    def show_survey(self) -> None:
        """Show what is known."""
        picture = self._picture
        self._tell_problem()
        nothing = self.query_one("#nothing", Static)
        self.query_one("#shown").display = self._survey is not None
        nothing.display = picture is None
        if picture is None:
            nothing.update(self._nothing())
        head = head_text(self._data_set, picture, self._doing)
        self.query_one("#head", Static).update(head, layout=False)
        self._arrange()
        self._show_fields()
        self.refresh_bindings()
        if picture is None:
            return
        self.query_one(BalanceChart).show(picture.report)
        self.query_one(CoOccurrence).show(picture.report["co_occurrence"])
        self._show_finding()
        self.show_notes()

    def _tell_problem(self) -> None:
        """What is known here of whether a run of the draft would be refused."""
        draft, search = self.workspace.draft, self._search
        if self._refusal:
            self.workspace.know_problem(draft, self._refusal)
        elif search.state == "found" and self._picture is not None:
            stops = search.missing and not draft.dataset.partial
            missing = f"{search.missing:,} of {search.in_table:,} images are missing."
            self.workspace.know_problem(draft, missing if stops else "")

    def _arrange(self) -> None:
        """Chart, matrix or notes where there is room for one of them, all where there is more."""
        big, tall = self.has_class("-big"), self.has_class("-tall")
        drawn = self._picture is not None
        notes_alone = self.has_class("-notes-first") and not big
        matrix = drawn and not notes_alone and (big and tall) != self._matrix
        chart = self.query_one(BalanceChart)
        chart.display = drawn and not notes_alone and (not matrix or (big and tall))
        self.query_one(CoOccurrence).display = matrix
        is_short_of_rows = matrix and not tall
        self.query_one("#finding").display = drawn and not notes_alone and not is_short_of_rows
        self.query_one("#notes").display = drawn and (big or not is_short_of_rows)
        if chart.display and self.focused is None and self.is_current:
            chart.focus()

    def _nothing(self) -> Text:
        if self._refusal:
            return refusal_text(self._refusal, can_change=self._survey is not None)
        return nothing_text(self.workspace.draft, self._doing, self.workspace.cache)

    def _show_fields(self) -> None:
        choices = self._choices()
        self._field = min(self._field, len(choices) - 1)
        text = fields_text(choices, self._field, self.workspace.draft, self._picture)
        self.query_one("#fields", Static).update(text, layout=False)

    def _show_finding(self) -> None:
        finding = self.query_one(BalanceChart).finding
        if self._picture is not None and finding:
            self.query_one("#finding", Static).update(finding_text(self._picture.report, finding))

    def show_notes(self) -> None:
        """The sentences, the table of the parts, and the field that missing images bring."""
        if self._picture is None:
            return
        self._tell_problem()
        self._show_fields()
        report = self._picture.report
        notes = notes_of(report, self._search, self._picture.recipe)
        ascii_only = self.console.ascii_only
        table = part_table(report, ascii_only=ascii_only)
        text = notes_text(notes, table, ascii_only=ascii_only)
        self.query_one(HealthPanel).show(answers_of(report))
        self.query_one("#note_lines", Static).update(text)

    def on_data_table_row_highlighted(self, _message: DataTable.RowHighlighted) -> None:
        """The finding at hand in full."""
        self._show_finding()

    def _choices(self) -> tuple[Choice, ...]:
        return choices_of(self.workspace.draft, some_are_missing=bool(self._search.missing))

    def _change(self, change: Callable[[Recipe], Recipe]) -> None:
        try:
            self.workspace.draft = change(self.workspace.draft)
        except CxrError as error:
            self.console.say(str(error))
            return
        self._show_fields()
        self.refresh_view()

    def action_field(self, by: int) -> None:
        """The next field, or the one before."""
        self._field = (self._field + by) % len(self._choices())
        self._show_fields()

    def action_change(self, by: int) -> None:
        """The field's next value, or the one before."""
        if self._survey is not None:
            key = self._choices()[self._field].key
            self._change(lambda recipe: stepped(recipe, key, by))

    def action_edit(self) -> None:
        """Type the field's value; where there is no data set yet, make or choose one."""
        if self._survey is None:
            self._begin()
            return
        choice = self._choices()[self._field]
        if not choice.hint:  # a choice among words: there is nothing to type
            self.action_change(1)
            return
        self._ask_value(
            f"{choice.name} ({choice.key})",
            choice.hint,
            choice.shown,
            lambda recipe, text: typed(recipe, choice.key, text),
        )

    def _ask_value(
        self, title: str, hint: str, value: str, changed: Callable[[Recipe, str], Recipe]
    ) -> None:
        def fault_of(text: str) -> str:
            try:
                changed(self.workspace.draft, text)
            except CxrError as error:  # where it is typed stands above it
                return " ".join(part for part in (f"✗ {error.what}.", error.remedy) if part)
            return ""

        def take(text: str | None) -> None:
            if text is not None:
                self._change(lambda recipe: changed(recipe, text))

        self.app.push_screen(ValueDialog(title, hint, value, fault_of), take)

    def _begin(self) -> None:
        data_set = self._data_set
        if data_set is None or self._doing:
            return
        if data_set.is_named:
            self._refusal = ""
            self._read(self.workspace.draft, data_set)
        else:
            self._open(_synthetic())

    def action_open(self) -> None:
        """Choose another data set."""
        place = self._data_set.place if self._data_set else ""
        start = Path(place) if place and Path(place).is_dir() else Path.cwd()
        self.app.push_screen(
            DataSetPicker(recent_data_sets(), _synthetic(), start.absolute()), self._open
        )

    def _open(self, data_set: DataSet | None) -> None:
        if data_set is None:
            return
        if data_set == self._data_set:  # opened again: what lies there may have changed
            self._data_set = None
        self._change(data_set.put_into)

    def action_findings(self) -> None:
        """Tick the findings to learn."""
        if self._survey is None:
            return
        survey = self._survey_at_hand() or self._survey
        index = survey.index
        positives_A = np.count_nonzero(index.table_labels_NA == PRESENT, axis=0)
        positives = dict(zip(index.table_findings, map(int, positives_A), strict=True))
        self.app.push_screen(
            FindingsDialog(positives, self.workspace.draft.dataset.findings), self._on_findings
        )

    def _on_findings(self, findings: tuple[str, ...] | None) -> None:
        if findings is not None:
            self._change(lambda recipe: with_chosen_findings(recipe, findings))

    def action_balance(self) -> None:
        """A target prevalence for the finding under the cursor; empty: as it comes."""
        finding = self.query_one(BalanceChart).finding
        if self._survey is None or not finding:
            return
        subset = self.workspace.draft.subset
        is_set = subset.finding == finding and subset.prevalence is not None
        self._ask_value(
            f"Prevalence of {finding}",
            "Every positive is kept, negatives are drawn until this holds in "
            f"{' and '.join(subset.parts)} (subset.parts). In percent, such as 29; empty: off.",
            percent(subset.prevalence) if is_set and subset.prevalence else "",
            lambda recipe, text: balanced(recipe, finding, text),
        )

    def action_co_occurrence(self) -> None:
        """Which findings come together, in place of the chart where room is short."""
        self._matrix = not self._matrix
        self.remove_class("-notes-first")
        self._arrange()

    def action_notes(self) -> None:
        """All notes, in place of the chart."""
        self.toggle_class("-notes-first")
        self._matrix = False
        self._arrange()
        self.query_one("#notes" if self.has_class("-notes-first") else "#chart").focus()

    def step_out(self) -> bool:
        """Notes and matrix give way to the chart first."""
        if self.has_class("-notes-first"):
            self.action_notes()
            return True
        if self._matrix:
            self.action_co_occurrence()
            return True
        return False


def _synthetic() -> DataSet:
    """The demo's phantom: the one that may be in the cache already."""
    return DataSet.of(load_recipe("demo"))
