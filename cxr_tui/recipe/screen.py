"""3 Recipe: every setting of the next run, and what it would need."""

from __future__ import annotations

import time
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
from core.recipe_toml import differences, recipe_toml
from core.store.files import write_whole
from core.words import number_of
from cxr_tui.console.dialogs import ChoiceList, Question
from cxr_tui.console.line_input import LineInput
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.workspace import EarlierDraft
from cxr_tui.own_data import own_recipe
from cxr_tui.recipe.estimate_panel import EstimatePanel
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
_EARLIER = "earlier draft "
"""Prefix of choices that are earlier drafts."""


class RecipeScreen(ConsoleScreen):
    """A form for the draft. Only valid recipes get into the draft."""

    MODE = "recipe"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "presets", "preset", id="recipe.presets"),
        Binding("m", "measure", "measure", id="recipe.measure"),
        Binding("J", "weights", "weights", id="recipe.weights", show=False),
        Binding("s", "save", "save TOML", id="recipe.save"),
        Binding("o", "load", "open TOML", id="recipe.load"),
        Binding("S", "app.start", "start", id="recipe.start"),
    ]

    class PresetsListed(Message):
        """Names of recipes to start from, each with a description."""

        def __init__(self, choices: list[tuple[str, str]]) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self) -> None:
        super().__init__()
        self._estimate = EstimatePanel(id="estimate")
        self._shown: Recipe | None = None
        self._shown_preset = ""

    def compose_parts(self) -> ComposeResult:
        """Head, filter, the form next to the estimate and the field's help."""
        yield Static(id="head", classes="head")
        yield LineInput(placeholder="part of a field's name or help", id="filter")
        with Horizontal(id="parts"):
            yield RecipeForm(self.workspace.draft, self.workspace.base)
            with Vertical(id="side"):
                yield self._estimate
                yield Rule(id="rule")
                with VerticalScroll(id="help", can_focus=False):
                    yield Static(id="help-text")
                    yield Static(id="changes")

    def on_mount(self) -> None:
        """Focus the form."""
        self._form.focus()

    def on_resize(self, event: events.Resize) -> None:
        """A wider side if there is space."""
        self.set_class(event.size.width < _BESIDE_FROM, "slim")
        self.set_class(_ROOMY_FROM <= event.size.width < _WIDE_FROM, "roomy")
        self.set_class(event.size.width >= _WIDE_FROM, "wide")

    def refresh_view(self) -> None:
        """Follow the draft, which other screens change too; does nothing if it is unchanged."""
        is_shown = (
            self.workspace.draft is self._shown and self.workspace.preset == self._shown_preset
        )
        if is_shown or not self.query(RecipeForm):
            return  # the timer may fire while the form is removed
        self._form.leave_field()
        self._show_draft()

    def on_screen_resume(self) -> None:
        """Disk, cache and images may have changed meanwhile."""
        shown = self._shown
        super().on_screen_resume()
        if self._shown is shown:  # otherwise it was just estimated
            self._estimate.look(afresh=True)

    def on_screen_suspend(self) -> None:
        """A run started now must not share the machine with a measurement."""
        self._estimate.break_off()

    def step_out(self) -> bool:
        """Escape closes the field, then removes the filter."""
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

    def _show_draft(self) -> None:
        draft = self.workspace.draft
        self._shown, self._shown_preset = draft, self.workspace.preset
        self._form.show(draft, self.workspace.base)
        if self.workspace.key_to_look_at is not None:
            self._form.go_to(self.workspace.key_to_look_at)
            self.workspace.key_to_look_at = None
        self.query_one("#head", Static).update(self._head(draft))
        changes = change_list(draft, self.workspace.base, self.workspace.preset)
        self.query_one("#changes", Static).update(changes)
        self._show_help()
        self._estimate.look()

    def _head(self, draft: Recipe) -> Text:
        count = len(differences(self.workspace.base, draft))
        changes = f"{count} change{'' if count == 1 else 's'}" if count else "unchanged"
        text = Text(" ", no_wrap=True, overflow="ellipsis")
        text.append(visible(draft.name), style="bold")
        preset = elided(visible(self.workspace.preset), _PRESET_CELLS)
        text.append(f" · preset {preset} · {changes}")
        if draft.note:
            text.append(f" · {visible(draft.note)}")
        return text

    def _show_help(self) -> None:
        at_hand = self.workspace
        shown = field_help(self._form.field, at_hand.draft, at_hand.base, at_hand.preset)
        self.query_one("#help-text", Static).update(shown)

    def action_measure(self) -> None:
        """Measure a few real steps; again: cancel."""
        self._estimate.measure()

    def action_weights(self) -> None:
        """Start from known weights; fetch them first where they are not here."""
        from cxr_tui.recipe.weights_dialog import offer_weights

        offer_weights(self.console)

    def on_recipe_form_moved(self) -> None:
        """Show help for the field at the cursor."""
        self._show_help()

    def on_recipe_form_edited(self, message: RecipeForm.Edited) -> None:
        """Make a valid edit the draft; report which other fields changed."""
        before, key = self.workspace.draft, message.field.key
        self.workspace.key_changed_last = key
        gave_way = [other for other in differences(before, message.recipe) if other != key]
        self._take(message.recipe)
        if gave_way:
            now = ", ".join(f"{other} {shown_value(message.recipe, other)}" for other in gave_way)
            self.console.say(f"Also changed: {now}")

    def on_recipe_form_list_asked(self, message: RecipeForm.ListAsked) -> None:
        """A field with choices."""
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
        """List ours, and those of past sessions, read on a thread."""
        self._list_presets()

    @work(thread=True, exclusive=True, group="presets")
    def _list_presets(self) -> None:
        self.post_message(self.PresetsListed(preset_choices(self.workspace.sessions)))

    def on_recipe_screen_presets_listed(self, message: PresetsListed) -> None:
        """Ask which."""
        earlier = [
            (f"{_EARLIER}{place}", _earlier_line(draft))
            for place, draft in enumerate(self.workspace.earlier_drafts)
        ]
        dialog = ChoiceList(
            "Start from the recipe of …", [*earlier, *message.choices], self.workspace.preset
        )
        self.app.push_screen(dialog, self._on_preset)

    def _on_preset(self, name: str | None) -> None:
        if name is None:
            return
        if name.startswith(_EARLIER):
            earlier = self.workspace.earlier_drafts.pop(int(name.removeprefix(_EARLIER)))
            self.console.begin(earlier.preset, earlier.recipe, base=earlier.base)
            return
        try:
            recipe = preset_recipe(name, self.workspace.sessions)
        except CxrError as error:
            self.console.say(str(error))
            return
        self.console.begin(name, recipe, keeps_data=True)

    def action_load(self) -> None:
        """Open a recipe file."""
        self.app.push_screen(FileName("Open a recipe (TOML)", "", self._load))

    def _load(self, path: Path) -> str:
        try:
            recipe = own_recipe(path)
        except CxrError as error:
            return str(error)
        self.call_later(self.console.begin, str(path), recipe)  # once the dialog is gone
        return ""

    def action_save(self) -> None:
        """Save the complete draft as TOML."""
        name = f"{self.workspace.draft.name}.toml"
        self.app.push_screen(FileName("Save the recipe as", name, _no_place), self._on_place)

    def _on_place(self, path: Path | None) -> None:
        if path is None:
            return
        if not path.exists():
            self._save(path)
            return
        question = Question(f"Overwrite {path.name}?", str(path), [("y", "overwrite")])
        self.app.push_screen(question, lambda yes: self._save(path) if yes == "y" else None)

    def _save(self, path: Path) -> None:
        try:
            write_whole(path, recipe_toml(self.workspace.draft).encode(), follow=True)
        except OSError as error:
            self.console.say(f"{path} can't be written ({error.strerror})")
        else:
            self.console.say(f"written: {path}")

    def action_filter(self) -> None:
        """Filter the fields."""
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


def _earlier_line(draft: EarlierDraft) -> str:
    changes = number_of(draft.num_changes, "change")
    left_at = time.strftime("%H:%M", time.localtime(draft.left_at))
    return f"draft of {left_at}, {changes} of {draft.preset}"


def _no_place(path: Path) -> str:
    """Why no file can be written there; '' if one can, as far as is known."""
    try:
        if path.is_dir():
            return "that is a folder"
        return "" if path.parent.is_dir() else "there is no such folder"
    except OSError as error:
        return str(error.strerror)
