"""2 Data: which images, how they are split, and what to know before training on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import DataTable, Static

from core.data.tables.label_version import label_table_name, version_named
from core.errors import CxrError
from core.findings import PRESENT
from core.health.words import listed
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe
from core.shipped_recipes import shipped_recipes
from cxr_tui.console.dialogs import Question, ValueDialog
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.data.balance_chart import BalanceChart
from cxr_tui.data.co_occurrence import CoOccurrence
from cxr_tui.data.dialogs import FindingsDialog
from cxr_tui.data.fields import (
    Choice,
    balanced,
    choices_of,
    percent,
    split_by_patient,
    split_in_words,
    stepped,
    typed,
    with_chosen_findings,
)
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.data.notes import notes_of, part_table
from cxr_tui.data.recent_data_sets import DataSet, recent_data_sets
from cxr_tui.data.samples import SampleImages
from cxr_tui.data.surveying import Surveying
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
from cxr_tui.widgets.lists import SearchedText, TextScroll

_BIG_COLUMNS, _TALL_ROWS = 160, 36
"""Columns from which notes are next to the chart; rows from which all findings are shown."""


class DataScreen(ConsoleScreen):
    """Shows what is known of the draft's data set, and changes the choices in it."""

    MODE = "data"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "#chart"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "open", id="data.open"),
        Binding("exclamation_mark", "remedy", "set it", id="data.remedy", key_display="!"),
        Binding("f", "findings", "findings", id="data.findings"),
        Binding("b", "balance", "balance", id="data.balance"),
        Binding("c", "co_occurrence", "co-occurrence", id="data.co_occurrence"),
        Binding("comma", "field(-1)", "field", id="data.previous", key_display=", ."),
        Binding("full_stop", "field(1)", "next field", id="data.next", show=False),
        Binding("left", "change(-1)", "change", id="data.decrease", key_display="← →"),
        Binding("right", "change(1)", "more", id="data.increase", show=False),
        Binding("enter", "edit", "type it", id="data.type", show=False),
        Binding("v", "notes", "notes", id="data.notes", show=False),
    ]

    NEEDS_SOMETHING = frozenset(
        {"findings", "balance", "co_occurrence", "field", "change", "notes"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._known = Surveying()
        self._field = "split.by"
        self._matrix = False
        self._just_opened: DataSet | None = None
        self._points_at_missing = False

    def compose_parts(self) -> ComposeResult:
        """Head; chart, matrix, the current finding and the fields; notes next to or below them."""
        ascii_only = self.console.ascii_only
        yield self._known
        yield Static(id="head", classes="head")
        yield Static(id="nothing")
        with Container(id="shown"):
            with Vertical(id="left"):
                yield BalanceChart(ascii_only=ascii_only, id="chart")
                yield CoOccurrence(id="matrix")
                yield Static(id="finding")
                yield Static(id="fields")
                yield SampleImages(ascii_only=ascii_only, id="samples")
            with TextScroll(id="notes"):
                yield HealthPanel(ascii_only=ascii_only, id="health")
                yield SearchedText(id="note_lines")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A proposal is taken where there is one."""
        if action == "remedy":
            return bool(self._known.changes)
        return super().check_action(action, parameters)

    def has_something(self) -> bool:
        """Whether a data set was read."""
        return self._known.survey is not None

    def on_resize(self) -> None:
        """Place side by side what fits."""
        self.set_class(self.size.width >= _BIG_COLUMNS, "-big")
        self.set_class(self.size.height >= _TALL_ROWS, "-tall")
        self.show_survey()

    def on_screen_resume(self) -> None:
        """Ask for a data set, where another screen wants one."""
        super().on_screen_resume()
        if self.workspace.data_set_wanted:
            self.workspace.data_set_wanted = False
            self.call_after_refresh(self.action_open)

    def refresh_view(self) -> None:
        """Follow the draft, which other screens change too."""
        if self.is_mounted and self._known.follow():
            self.show_survey()

    @on(Surveying.Told)
    @on(Surveying.Drawn)
    def show_survey(self) -> None:
        """Show what is known."""
        picture = self._known.picture
        self._tell_problem()
        nothing = self.query_one("#nothing", Static)
        self.query_one("#shown").display = self._known.survey is not None
        nothing.display = picture is None
        if picture is None:
            nothing.update(self._nothing())
        self._offer_what_fits()
        head = head_text(self._known.data_set, picture, self._known.doing)
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

    def _offer_what_fits(self) -> None:
        """Offer the recipe or the findings that fit a data set that was just opened."""
        survey, draft = self._known.survey, self.workspace.draft
        if self._just_opened is None or survey is None:
            return
        self._just_opened = None
        table = survey.index.table
        is_demo = self.workspace.preset == draft.name == "demo"
        is_nih = version_named(label_table_name(table.label_version, table.path)) is not None
        own = "nih-14" if is_nih and is_demo else table.kind
        missing = [name for name in draft.dataset.findings if name not in table.findings]
        answers = []
        if own in shipped_recipes() and draft.dataset.kind != own:
            split = split_in_words(load_recipe(own))
            answers.append(("enter", f"the recipe {own}: its findings, {split}"))
        no_lists = table.kind == "table" and survey.sources.train_val_list is None
        by_patient = no_lists and draft.split.by != "patient"
        if missing or by_patient:
            key = "t" if answers else "enter"
            findings = f"the {len(table.findings)} findings it has" if missing else "its findings"
            split = ", split by patient" if by_patient else ""
            answers.append((key, f"these settings, {findings}{split}"))
        if not answers:
            return
        title = "NIH ChestX-ray14" if own == "nih-14" else table.version
        lacks = f" The table has no labels of {listed(missing)}." if missing else ""
        lacks += " There are no lists for an official split." if by_patient else ""
        question = Question(
            f"This is {title}" if own in shipped_recipes() else "A table of your own",
            f"The recipe is {draft.name}, for {len(draft.dataset.findings)} findings.{lacks}",
            [*answers, ("k", "keep the settings as they are")],
        )

        def fitting(recipe: Recipe) -> Recipe:
            split = split_by_patient(recipe) if by_patient else recipe
            return with_chosen_findings(split, table.findings) if missing else split

        def fit(answer: str | None) -> None:
            if answer == "enter" and own in shipped_recipes():
                self.console.begin(own, load_recipe(own), keeps_data=True)
            elif answer in ("enter", "t"):
                self._change(fitting)

        self.app.push_screen(question, fit)

    def _tell_problem(self) -> None:
        """Report whether a run of the draft would be refused, as far as is known."""
        draft, search = self.workspace.draft, self._known.search
        picture = self._known.picture
        no_patients = picture is not None and picture.report["patients"] is None
        if self._known.refusal:
            self.workspace.know_problem(draft, self._known.refusal)
        elif no_patients and draft.dataset.patient_from == "table":
            self.workspace.know_problem(draft, "The table names no patients: patient from (Data).")
        elif search.state == "found" and self._known.picture is not None:
            stops = search.missing and not draft.dataset.partial
            missing = f"{search.missing:,} of {search.in_table:,} images are missing."
            self.workspace.know_problem(draft, missing if stops else "")

    def _arrange(self) -> None:
        """Chart, matrix or notes if only one fits, otherwise all."""
        big, tall = self.has_class("-big"), self.has_class("-tall")
        drawn = self._known.picture is not None
        notes_alone = self.has_class("-notes-first") and not big
        matrix = drawn and not notes_alone and (big and tall) != self._matrix
        chart = self.query_one(BalanceChart)
        self.query_one("#samples").display = drawn and big and tall
        chart.display = drawn and not notes_alone and (not matrix or (big and tall))
        self.query_one(CoOccurrence).display = matrix
        is_short_of_rows = matrix and not tall
        self.query_one("#finding").display = drawn and not notes_alone and not is_short_of_rows
        self.query_one("#notes").display = drawn and (big or not is_short_of_rows)
        if chart.display and self.focused is None and self.is_current:
            chart.focus()

    def _nothing(self) -> Text:
        if self._known.refusal:
            can_change = self._known.survey is not None
            return refusal_text(self._known.refusal, self._known.changes, can_change=can_change)
        return nothing_text(self.workspace.draft, self._known.doing, self.workspace.cache)

    def _show_fields(self) -> None:
        choices = self._choices()
        chosen = self._position(choices)
        width = self.size.width * 3 // 5 if self.has_class("-big") else self.size.width
        picture = self._known.picture
        text = fields_text(choices, chosen, self.workspace.draft, picture, width=width - 3)
        self.query_one("#fields", Static).update(text)

    def _show_finding(self) -> None:
        finding = self.query_one(BalanceChart).finding
        if self._known.picture is not None and finding:
            self.query_one("#finding", Static).update(
                finding_text(self._known.picture.report, finding)
            )
            self.query_one(SampleImages).show(self._known.found, finding)

    @on(Surveying.Searched)
    def show_notes(self) -> None:
        """The sentences, the table of the parts, and the field for missing images."""
        if self._known.picture is None:
            return
        self._tell_problem()
        self.refresh_bindings()  # a proposal comes or goes with the search
        if self._points_at_missing and self._known.search.state == "found":
            self._points_at_missing = False
            if self._known.search.missing and not self.workspace.draft.dataset.partial:
                self._field = "dataset.partial"  # a run is refused until this is decided
        self._show_fields()
        self._show_finding()
        report = self._known.picture.report
        notes = notes_of(report, self._known.search, self._known.picture.recipe)
        ascii_only = self.console.ascii_only
        table = part_table(report, ascii_only=ascii_only)
        text = notes_text(notes, table, ascii_only=ascii_only)
        self.query_one(HealthPanel).show(answers_of(report.get("health")))
        self.query_one("#note_lines", Static).update(text)

    def on_data_table_row_highlighted(self, _message: DataTable.RowHighlighted) -> None:
        """Show the current finding in full."""
        self._show_finding()

    def _choices(self) -> tuple[Choice, ...]:
        picture = self._known.picture
        return choices_of(
            self.workspace.draft,
            None if picture is None else picture.report,
            some_are_missing=bool(self._known.search.missing),
        )

    def _position(self, choices: Sequence[Choice]) -> int:
        """That of the chosen field; it may be missing while a table is read again."""
        keys = [choice.key for choice in choices]
        return keys.index(self._field) if self._field in keys else 0

    def _chosen(self) -> Choice:
        choices = self._choices()
        return choices[self._position(choices)]

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
        self._points_at_missing = False  # it must not jump from under the hand
        choices = self._choices()
        self._field = choices[(self._position(choices) + by) % len(choices)].key
        self._show_fields()

    def action_change(self, by: int) -> None:
        """The field's next value, or the one before."""
        if self._known.survey is not None:
            key = self._chosen().key
            self._change(lambda recipe: stepped(recipe, key, by))

    def action_edit(self) -> None:
        """Type the field's value; without a data set, create or choose one."""
        if self._known.survey is None:
            self._begin()
            return
        choice = self._chosen()
        if not choice.hint:  # a choice among words, nothing to type
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
            except CxrError as error:  # the field is shown above it
                return " ".join(part for part in (f"✗ {error.what}.", error.remedy) if part)
            return ""

        def take(text: str | None) -> None:
            if text is not None:
                self._change(lambda recipe: changed(recipe, text))

        self.app.push_screen(ValueDialog(title, hint, value, fault_of), take)

    def _begin(self) -> None:
        data_set = self._known.data_set
        if data_set is not None and data_set.is_named:
            self._known.read()
        elif data_set is not None:
            self._open(_synthetic())

    def action_open(self) -> None:
        """Choose another data set."""
        place = self._known.data_set.place if self._known.data_set else ""
        start = Path(place) if place and Path(place).is_dir() else Path.cwd()
        self.app.push_screen(
            DataSetPicker(recent_data_sets(), _synthetic(), start.absolute()), self._open
        )

    def _open(self, data_set: DataSet | None) -> None:
        if data_set is None:
            return
        if data_set == self._known.data_set:  # reopened
            self._known.forget()
        self._just_opened, self._points_at_missing = data_set, True
        self._change(data_set.put_into)

    def action_remedy(self) -> None:
        """Change the recipe as the refusal proposes."""
        changes = self._known.changes
        self._change(lambda recipe: changed_recipe(recipe, changes))

    def action_findings(self) -> None:
        """Tick the findings to train on."""
        survey = self._known.survey_at_hand()
        if survey is None:
            return
        index = survey.index
        positives_A = np.count_nonzero(index.table.labels_NA == PRESENT, axis=0)
        positives = dict(zip(index.table.findings, map(int, positives_A), strict=True))
        self.app.push_screen(
            FindingsDialog(positives, self.workspace.draft.dataset.findings), self._on_findings
        )

    def _on_findings(self, findings: tuple[str, ...] | None) -> None:
        if findings is not None:
            self._change(lambda recipe: with_chosen_findings(recipe, findings))

    def action_balance(self) -> None:
        """A target prevalence for the finding under the cursor; empty: none."""
        finding = self.query_one(BalanceChart).finding
        if self._known.survey is None or not finding:
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
        """Show which findings occur together, instead of the chart if only one fits."""
        self._matrix = not self._matrix
        self.remove_class("-notes-first")
        self._arrange()

    def action_notes(self) -> None:
        """Show all notes, instead of the chart."""
        self.toggle_class("-notes-first")
        self._matrix = False
        self._arrange()
        self.query_one("#notes" if self.has_class("-notes-first") else "#chart").focus()

    def step_out(self) -> bool:
        """First return from notes and matrix to the chart."""
        if self.has_class("-notes-first"):
            self.action_notes()
            return True
        if self._matrix:
            self.action_co_occurrence()
            return True
        return False


def _synthetic() -> DataSet:
    """The demo's phantom, which may be in the cache already."""
    return DataSet.of(load_recipe("demo"))
