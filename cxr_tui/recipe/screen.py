"""3 Recipe: every setting of the next run, and what it would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Rule, Static

from core.errors import CxrError
from core.recipe import Recipe
from core.recipe_toml import differences, load_recipe, recipe_toml
from core.store.files import write_whole
from cxr_tui.console.dialogs import ChoiceList, Question
from cxr_tui.console.line_input import LineInput
from cxr_tui.recipe.estimate_panel import estimate_lines
from cxr_tui.recipe.estimate_worker import LookingAheadScreen
from cxr_tui.recipe.field_help import change_list, field_help
from cxr_tui.recipe.field_row import elided
from cxr_tui.recipe.fields import shown_value, typed_value
from cxr_tui.recipe.file_dialog import FileName
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.recipe.presets import preset_choices, preset_recipe
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from cxr_tui.recipe.fields import RecipeField

_BESIDE_FROM, _ROOMY_FROM, _WIDE_FROM = 76, 110, 170
_PRESET_CELLS = 32


class RecipeScreen(LookingAheadScreen):
    """A form over the draft. Only what makes a valid recipe gets into the draft."""

    MODE = "recipe"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "presets", "preset", id="recipe.presets"),
        Binding("m", "measure", "measure", id="recipe.measure"),
        Binding("s", "save", "save TOML", id="recipe.save"),
        Binding("o", "load", "open TOML", id="recipe.load"),
        Binding("S", "app.start", "start", id="recipe.start"),
        Binding("slash", "filter", "filter", id="recipe.filter", key_display="/", show=False),
    ]

    class PresetsListed(Message):
        """Names of recipes to begin with, each with a line about it."""

        def __init__(self, choices: list[tuple[str, str]]) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self) -> None:
        super().__init__()
        self._preset_name = ""
        self._preset = Recipe()
        self._shown: Recipe | None = None

    def compose_parts(self) -> ComposeResult:
        """Head, filter, the form beside what it would take and the field's help."""
        self._follow_preset()
        yield Static(id="head", classes="head")
        yield LineInput(placeholder="part of a field's name or help", id="filter")
        with Horizontal(id="parts"):
            yield RecipeForm(self.workspace.draft, self._preset)
            with Vertical(id="side"):
                yield Static(id="estimate")
                yield Rule(id="rule")
                with VerticalScroll(id="help", can_focus=False):
                    yield Static(id="help-text")
                    yield Static(id="changes")

    def on_mount(self) -> None:
        """The form has the keys."""
        self._form.focus()

    def on_resize(self, event: events.Resize) -> None:
        """More room at the side where there is some."""
        self.set_class(event.size.width < _BESIDE_FROM, "slim")
        self.set_class(_ROOMY_FROM <= event.size.width < _WIDE_FROM, "roomy")
        self.set_class(event.size.width >= _WIDE_FROM, "wide")

    def refresh_view(self) -> None:
        """Follow the draft, which other screens change too; nothing to do while it is the same."""
        is_shown = (
            self.workspace.draft is self._shown and self.workspace.preset == self._preset_name
        )
        if is_shown or not self.has_parts:
            return
        self._follow_preset()
        self._form.leave_field()
        self._show_draft()

    def on_screen_resume(self) -> None:
        """The disk, the cache and the images may have changed meanwhile."""
        shown = self._shown
        super().on_screen_resume()
        if self._shown is shown:  # else it has just been looked at
            self.look_ahead(afresh=True)

    def step_out(self) -> bool:
        """Escape leaves the field, then takes the filter away."""
        field = self.query_one("#filter", Input)
        if self._form.leave_field():
            return True
        if not field.has_class("open"):
            return False
        field.value = ""
        field.remove_class("open")
        self._form.focus()
        return True

    @property
    def _form(self) -> RecipeForm:
        return self.query_one(RecipeForm)

    def _follow_preset(self) -> None:
        if self.workspace.preset != self._preset_name:
            self._preset_name = self.workspace.preset
            self._preset = preset_recipe(
                self._preset_name, self.workspace.sessions, self.workspace.draft
            )

    def _show_draft(self) -> None:
        draft = self.workspace.draft
        self._shown = draft
        self._form.show(draft, self._preset)
        if self.workspace.key_to_look_at is not None:
            self._form.go_to(self.workspace.key_to_look_at)
            self.workspace.key_to_look_at = None
        self.query_one("#head", Static).update(self._head(draft))
        changes = change_list(draft, self._preset, self._preset_name)
        self.query_one("#changes", Static).update(changes)
        self._show_help()
        self.look_ahead()

    def _head(self, draft: Recipe) -> Text:
        count = len(differences(self._preset, draft))
        changes = f"{count} change{'' if count == 1 else 's'}" if count else "unchanged"
        text = Text(" ", no_wrap=True, overflow="ellipsis")
        text.append(visible(draft.name), style="bold")
        preset = elided(visible(self._preset_name), _PRESET_CELLS)
        text.append(f" · preset {preset} · {changes}")
        if draft.note:
            text.append(f" · {visible(draft.note)}", style="dim")
        return text

    def _show_help(self) -> None:
        shown = field_help(self._form.field, self.workspace.draft, self._preset, self._preset_name)
        self.query_one("#help-text", Static).update(shown)

    def show_estimate(self) -> None:
        """What is known of the draft now."""
        if self.estimate is not None and not self.estimate.stage:
            self.workspace.know_problem(self.workspace.draft, self.estimate.problem)
        lines = estimate_lines(self.workspace.draft, self.estimate, self.throughput, self.measuring)
        for shown in self.query("#estimate").results(Static):  # none while the screen goes
            shown.update(lines)

    def on_recipe_form_moved(self) -> None:
        """Help for the field at the cursor."""
        self._show_help()

    def on_recipe_form_edited(self, message: RecipeForm.Edited) -> None:
        """A valid edit is the draft; say what gave way to it."""
        before, key = self.workspace.draft, message.field.key
        gave_way = [other for other in differences(before, message.recipe) if other != key]
        self._take(message.recipe)
        if gave_way:
            now = ", ".join(f"{other} {shown_value(message.recipe, other)}" for other in gave_way)
            self.console.say(f"With it: {now}")

    def on_recipe_form_list_asked(self, message: RecipeForm.ListAsked) -> None:
        """A field with many choices."""
        field = message.field
        at_hand = typed_value(self.workspace.draft, field.key) or field.choices[0]
        dialog = ChoiceList(field.label, [(choice, choice) for choice in field.choices], at_hand)
        self.app.push_screen(dialog, lambda choice: self._on_chosen(field, choice))

    def _on_chosen(self, field: RecipeField, choice: str | None) -> None:
        if choice is not None and self._form.field.key == field.key:
            self._form.choose(choice)

    def _take(self, recipe: Recipe) -> None:
        self.workspace.draft = recipe
        self._show_draft()

    def action_presets(self) -> None:
        """Ours, and those of past sessions, read on a thread."""
        self._list_presets()

    @work(thread=True, exclusive=True, group="presets")
    def _list_presets(self) -> None:
        self.post_message(self.PresetsListed(preset_choices(self.workspace.sessions)))

    def on_recipe_screen_presets_listed(self, message: PresetsListed) -> None:
        """Ask which."""
        dialog = ChoiceList("Begin with the recipe of …", message.choices, self._preset_name)
        self.app.push_screen(dialog, self._on_preset)

    def _on_preset(self, name: str | None) -> None:
        if name is None:
            return
        try:
            recipe = preset_recipe(name, self.workspace.sessions, None)
        except CxrError as error:
            self.console.say(str(error))
            return
        self._begin_or_ask(name, recipe)

    def _begin_or_ask(self, name: str, recipe: Recipe) -> None:
        """Begin with another recipe; ask first where changes of the draft would be lost."""
        count = len(differences(self._preset, self.workspace.draft))
        if not count:
            self._begin(name, recipe)
            return
        lost = f"{count} change{'' if count == 1 else 's'} of {self._preset_name}"
        question = Question(f"Begin anew with {name}?", f"{lost} will be gone.", [("y", "yes")])
        self.app.push_screen(
            question, lambda yes: self._begin(name, recipe) if yes == "y" else None
        )

    def _begin(self, name: str, recipe: Recipe) -> None:
        self._preset_name = self.workspace.preset = name
        self._preset = recipe
        self._take(recipe)

    def action_load(self) -> None:
        """A recipe file."""
        self.app.push_screen(FileName("Open a recipe (TOML)", "", self._load))

    def _load(self, path: Path) -> str:
        try:
            recipe = load_recipe(path)
        except CxrError as error:
            return str(error)
        self.call_later(self._begin_or_ask, str(path), recipe)  # once the dialog is gone
        return ""

    def action_save(self) -> None:
        """The draft, complete, as TOML."""
        name = f"{self.workspace.draft.name}.toml"
        self.app.push_screen(FileName("Save the recipe as", name, _no_place), self._on_place)

    def _on_place(self, path: Path | None) -> None:
        if path is None:
            return
        if not path.exists():
            self._save(path)
            return
        question = Question(f"Write over {path.name}?", str(path), [("y", "write over it")])
        self.app.push_screen(question, lambda yes: self._save(path) if yes == "y" else None)

    def _save(self, path: Path) -> None:
        try:
            write_whole(path, recipe_toml(self.workspace.draft).encode(), follow=True)
        except OSError as error:
            self.console.say(f"{path} can't be written ({error.strerror})")
        else:
            self.console.say(f"written: {path}")

    def action_filter(self) -> None:
        """Fewer fields."""
        field = self.query_one("#filter", Input)
        field.add_class("open")
        field.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        """While typing in the filter."""
        if message.input.id == "filter":
            self._form.filter(message.value)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Back to the fields, filtered."""
        if message.input.id == "filter":
            self._form.focus()


def _no_place(path: Path) -> str:
    """Why no file can be written there; '' where one can, as far as one can tell."""
    try:
        if path.is_dir():
            return "that is a folder"
        return "" if path.parent.is_dir() else "there is no such folder"
    except OSError as error:
        return str(error.strerror)
