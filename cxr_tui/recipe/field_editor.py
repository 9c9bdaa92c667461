"""One field of the form, edited in place."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from core.errors import RecipeError
from core.recipe import PATH_KEYS, Recipe
from cxr_tui.console.line_input import LineInput
from cxr_tui.console.path_input import complete
from cxr_tui.recipe.field_row import LABEL_CELLS, MARK_CELLS
from cxr_tui.recipe.fields import (
    RecipeField,
    edited_recipe,
    typed_value,
    words_at_field,
)
from cxr_tui.terminal.safe_text import visible

# Control characters and marks that change the writing direction: pasted ones must reach neither the
# terminal nor a file name.
_NO_CONTROLS = "[^\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2066-\\u2069]*"


class FieldInput(LineInput):
    """The one input of a form: Enter and the arrows accept the value, Esc cancels."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave the field", id="field.leave"),
        Binding("enter", "take(0)", "take the value", id="field.take", key_display="enter"),
        Binding("tab", "complete_or_take", "complete a path", id="field.complete", show=False),
        Binding("down", "take(1)", id="field.take-down", show=False),
        Binding("up,shift+tab", "take(-1)", id="field.take-up", show=False),
    ]

    is_of_a_path = False

    class Left(Message):
        """Esc: the value is unchanged."""

    class Taken(Message):
        """The value is accepted; ``move`` says where the cursor goes next."""

        def __init__(self, move: int) -> None:
            super().__init__()
            self.move = move

    def action_leave(self) -> None:
        """Discard the value."""
        self.post_message(self.Left())

    async def action_complete_or_take(self) -> None:
        """Complete a path as far as it goes; take any other value."""
        if not (self.is_of_a_path and await complete(self)):
            self.action_take(0)

    def action_take(self, move: int) -> None:
        """Accept the value, and move by this many rows."""
        self.post_message(self.Taken(move))


class FieldEditor(Vertical):
    """Label, input, unit; the error below them if there is one. Hidden until opened.

    It always exists, so that keys after the one that opens it are not lost.
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
        """The row, then the error."""
        with Horizontal():
            label = Static(classes="label")
            label.styles.width = MARK_CELLS + LABEL_CELLS
            yield label
            yield FieldInput(compact=True, restrict=_NO_CONTROLS)
            yield Static(classes="unit")
        yield Static(classes="fault")

    def open(self, field: RecipeField, recipe: Recipe) -> None:
        """Edit this field of the recipe; the input has the focus at once."""
        self.field, self._recipe = field, recipe
        # A value that can't be shown verbatim can't be edited verbatim either.
        self._before = visible(typed_value(recipe, field.key)).replace("\n", " ")
        self.query_one(".label", Static).update(Text(f" ▸  {field.label}", no_wrap=True))
        unit = self.query_one(".unit", Static)
        unit.update(Text(field.unit))
        unit.display = bool(field.unit)
        self._show_fault("")
        self.display = True
        shown = self.query_one(FieldInput)
        shown.value = self._before
        shown.is_of_a_path = field.key in (*PATH_KEYS, "model.weights")
        self.screen.set_focus(shown)

    def close(self) -> None:
        """Hide."""
        self.field = None
        self.display = False

    def outcome(self) -> Recipe | None:
        """The recipe with the typed value; None if it is invalid, with the error shown."""
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
        """Show an error while typing; an empty field is just waiting for its value."""
        if message.value:
            self.outcome()
        else:
            self._show_fault("")

    def _show_fault(self, fault: str) -> None:
        self.fault = fault
        shown = self.query_one(".fault", Static)
        shown.display = bool(fault)
        shown.update(Text(f"✗   {visible(fault)}"))
