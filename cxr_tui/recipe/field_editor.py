"""One field of the form, being edited where it stands."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from core.errors import RecipeError
from core.recipe import Recipe
from cxr_tui.console.line_input import LineInput
from cxr_tui.recipe.field_row import LABEL_CELLS, MARK_CELLS
from cxr_tui.recipe.fields import (
    RecipeField,
    edited_recipe,
    typed_value,
    words_at_field,
)
from cxr_tui.terminal.safe_text import visible

# Control characters and marks that turn the direction of writing: pasted ones must not reach
# the terminal, nor a file name.
_NO_CONTROLS = "[^\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2066-\\u2069]*"


class FieldInput(LineInput):
    """The one input of a form: Enter and the arrows take the value, Esc leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave the field", id="field.leave"),
        Binding("enter,tab", "take(0)", "take the value", id="field.take", key_display="enter"),
        Binding("down", "take(1)", id="field.take-down", show=False),
        Binding("up,shift+tab", "take(-1)", id="field.take-up", show=False),
    ]

    class Left(Message):
        """Esc: the value is as it was."""

    class Taken(Message):
        """The value is wanted; ``move`` says where the cursor goes then."""

        def __init__(self, move: int) -> None:
            super().__init__()
            self.move = move

    def action_leave(self) -> None:
        """Give the value up."""
        self.post_message(self.Left())

    def action_take(self, move: int) -> None:
        """Take the value, and move so many rows."""
        self.post_message(self.Taken(move))


class FieldEditor(Vertical):
    """Label, input, unit; the fault below them while there is one. Hidden until it is opened.

    It is there from the start, since keys that follow the one that opens it must not be lost.
    """

    DEFAULT_CSS = """
    FieldEditor { height: auto; background: $boost; display: none; }
    FieldEditor Horizontal { height: 1; }
    FieldEditor .label { height: 1; text-style: bold; }
    FieldEditor FieldInput { width: 1fr; background: $surface; }
    FieldEditor .unit { width: auto; height: 1; padding: 0 1; color: $text-muted; }
    FieldEditor .fault { height: auto; padding: 0 1; color: $text-error; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.field: RecipeField | None = None
        self.fault = ""
        self._recipe: Recipe | None = None
        self._before = ""

    def compose(self) -> ComposeResult:
        """The row, then the fault."""
        with Horizontal():
            label = Static(classes="label")
            label.styles.width = MARK_CELLS + LABEL_CELLS
            yield label
            yield FieldInput(compact=True, restrict=_NO_CONTROLS)
            yield Static(classes="unit")
        yield Static(classes="fault")

    def open(self, field: RecipeField, recipe: Recipe) -> None:
        """Edit this field of the recipe; the input has the keys at once."""
        self.field, self._recipe = field, recipe
        # What can't be shown as it is can't be edited letter by letter either.
        self._before = visible(typed_value(recipe, field.key)).replace("\n", " ")
        self.query_one(".label", Static).update(Text(f" ▸  {field.label}", no_wrap=True))
        unit = self.query_one(".unit", Static)
        unit.update(Text(field.unit))
        unit.display = bool(field.unit)
        self._show_fault("")
        self.display = True
        shown = self.query_one(FieldInput)
        shown.value = self._before
        self.screen.set_focus(shown)

    def close(self) -> None:
        """Be gone."""
        self.field = None
        self.display = False

    def outcome(self) -> Recipe | None:
        """The recipe with what was typed; None where it can't be, with the reason shown."""
        typed = self.query_one(FieldInput).value
        if self.field is None or self._recipe is None or typed == self._before:
            self._show_fault("")
            return self._recipe
        try:
            recipe = edited_recipe(self._recipe, self.field.key, typed)
        except RecipeError as error:
            self._show_fault(words_at_field(error, self.field.key))
            return None
        self._show_fault("")
        return recipe

    def on_input_changed(self, message: Input.Changed) -> None:
        """Say what is wrong while typing; an empty field is one that waits for its value."""
        if message.value:
            self.outcome()
        else:
            self._show_fault("")

    def _show_fault(self, fault: str) -> None:
        self.fault = fault
        shown = self.query_one(".fault", Static)
        shown.display = bool(fault)
        shown.update(Text(f"✗   {visible(fault)}"))
