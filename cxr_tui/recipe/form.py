"""The recipe as a form: one row per field, by section, edited in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core.errors import RecipeError
from core.recipe import Recipe
from core.recipe_toml import differences
from cxr_tui.recipe.field_editor import FieldEditor, FieldInput
from cxr_tui.recipe.field_row import FieldRow
from cxr_tui.recipe.fields import (
    RecipeField,
    edited_recipe,
    fields_of,
    shown_value,
    typed_value,
    unused_because,
)
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.lists import ListKeys

TWO_COLUMNS_FROM = 110
"""Width in cells from which the sections are in two columns."""

AIRY_FROM = 46
"""Height in lines from which sections are separated by a line."""

_SECOND_COLUMN = ("augment", "subset", "split", "dataset", "dataset.phantom", "evaluate")


class RecipeForm(VerticalScroll, ListKeys):
    """Every field of a recipe. It doesn't change the recipe, but posts the result, ``Edited``."""

    DEFAULT_CSS = """
    RecipeForm { scrollbar-size-vertical: 1; scrollbar-background: $background; }
    RecipeForm #columns { height: auto; }
    RecipeForm .column { height: auto; }
    RecipeForm.wide #columns { layout: horizontal; }
    RecipeForm.wide .column { width: 1fr; }
    RecipeForm .section { height: 1; color: $text-muted; text-style: bold; padding: 0 1; }
    RecipeForm.airy .section { margin-top: 1; }
    RecipeForm .no-match, RecipeForm .being-edited { display: none; }
    RecipeForm #nothing { display: none; padding: 1; color: $text-muted; }
    RecipeForm #nothing.shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "edit", "edit", id="form.edit"),
        Binding("up,k", "move(-1)", "field above", id="form.up", show=False),
        Binding("down,j", "move(1)", "field below", id="form.down", show=False),
        Binding("pageup", "move(-10)", "ten fields up", id="form.page-up", show=False),
        Binding("pagedown", "move(10)", "ten fields down", id="form.page-down", show=False),
        Binding("home,g", "move(-999)", "first field", id="form.first", show=False),
        Binding("end,G", "move(999)", "last field", id="form.last", show=False),
        Binding(
            "slash", "screen.filter", "filter", id="recipe.filter", key_display="/", show=False
        ),
        Binding("delete", "reset", "as the preset says", id="form.reset", show=False),
    ]

    class Edited(Message):
        """A field was changed; ``recipe`` is the whole new recipe, and valid."""

        def __init__(self, field: RecipeField, recipe: Recipe) -> None:
            super().__init__()
            self.field, self.recipe = field, recipe

    class Moved(Message):
        """The cursor is on another field."""

        def __init__(self, field: RecipeField) -> None:
            super().__init__()
            self.field = field

    class ListAsked(Message):
        """A field with choices wants a list to choose from."""

        def __init__(self, field: RecipeField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, recipe: Recipe, preset: Recipe) -> None:
        super().__init__()
        self._recipe, self._preset = recipe, preset
        self._field_rows: dict[str, FieldRow] = {}
        self._headings: dict[str, Static] = {}
        self._fields = fields_of(recipe)
        self._at = self._fields[0].key
        self._field_editor: FieldEditor | None = None

    def compose(self) -> ComposeResult:
        """Sections in two columns, which are stacked if it is narrow."""
        for field in self._fields:
            self._headings.setdefault(
                field.section, Static(Text(field.section_title), classes="section")
            )
            self._field_rows[field.key] = FieldRow(field)
        yield Static("no field's name or help contains this", id="nothing")
        with Vertical(id="columns"):
            for is_second in (False, True):
                with Vertical(classes="column"):
                    yield FieldEditor()
                    for section, heading in self._headings.items():
                        if _is_in_second(section) is is_second:
                            yield heading
                            yield from self._rows_of(section)

    def on_mount(self) -> None:
        """Show the values, and the cursor."""
        self.show(self._recipe, self._preset)
        self._put_cursor(self._at)

    def on_resize(self, event: events.Resize) -> None:
        """Two columns, and a blank line between sections, if they fit."""
        is_wide = event.size.width >= TWO_COLUMNS_FROM
        self.set_class(is_wide, "wide")
        self.set_class(is_wide and event.size.height >= AIRY_FROM, "airy")

    def on_focus(self) -> None:
        """While a field is open, it gets the keys."""
        if self._field_editor is not None:
            self._field_editor.query_one(FieldInput).focus()

    @property
    def field(self) -> RecipeField:
        """The field at the cursor."""
        return self._field_rows[self._at].field

    @property
    def fault(self) -> str:
        """The error in what is being typed; '' if there is none."""
        return "" if self._field_editor is None else self._field_editor.fault

    @property
    def is_editing(self) -> bool:
        """Whether a field is open."""
        return self._field_editor is not None

    def show(self, recipe: Recipe, preset: Recipe) -> None:
        """Show the recipe's values; those that differ from the preset are marked.

        The rows are made anew where the recipe has others: one data set, or several.
        """
        self._recipe, self._preset = recipe, preset
        fields = fields_of(recipe)
        if fields != self._fields:
            self._fields = fields
            self.call_later(self._make_rows)
            return
        changed = differences(preset, recipe)
        for key, row in self._field_rows.items():
            row.value = shown_value(recipe, key)
            row.changed = key in changed
            row.unused = bool(unused_because(recipe, key))

    async def _make_rows(self) -> None:
        """The rows of the recipe's fields, the cursor where it was if that field is still there."""
        at = self._at
        self._field_rows, self._headings, self._field_editor = {}, {}, None
        self._at = at if at in {field.key for field in self._fields} else self._fields[0].key
        await self.recompose()
        self.show(self._recipe, self._preset)
        self.filter(self.pattern)
        self._put_cursor(self._at)

    def filter(self, wanted: str) -> None:
        """Show the fields whose name contains this text, or if there are none, whose help does; ''
        shows all.

        Not both: the help is not visible in the list, so a field would seem not to match.
        """
        self.pattern, wanted = wanted, wanted.casefold()
        named = {key for key, row in self._field_rows.items() if wanted in _name_of(row.field)}
        shown = named or {
            key for key, row in self._field_rows.items() if wanted in row.field.help.casefold()
        }
        for section, heading in self._headings.items():
            rows = self._rows_of(section)
            for row in rows:
                row.set_class(row.field.key not in shown, "no-match")
            heading.set_class(all(row.has_class("no-match") for row in rows), "no-match")
        self.query_one("#nothing").set_class(not shown, "shown")
        matching = self._matching()
        if matching and self._at not in matching:
            self._put_cursor(matching[0])

    def go_to(self, key: str) -> None:
        """Put the cursor on this field, if it exists; typed text and filter stay."""
        if key in self._matching():
            self._put_cursor(key)

    def list_lines(self) -> Sequence[str]:
        """The fields that are shown."""
        return [self._field_rows[key].field.label for key in self._matching()]

    def words_at_hand(self) -> str:
        """The field at the cursor, with its help."""
        field = self.field
        return f"{field.label}  {shown_value(self._recipe, field.key)}  {field.help}"

    def list_at(self) -> int:
        """The field at the cursor."""
        keys = self._matching()
        return keys.index(self._at) if self._at in keys else 0

    def list_go(self, row: int) -> None:
        """The cursor to that field."""
        self._put_cursor(self._matching()[row])

    def list_hits(self) -> list[int]:
        """Every field: the others are filtered away."""
        return list(range(len(self._matching()))) if self.pattern else []

    def action_move(self, by: int) -> None:
        """Move the cursor by this many rows."""
        self.action_list_move(by)

    def action_edit(self) -> None:
        """A list of choices, or the input."""
        field = self.field
        if field.choices:
            self.post_message(self.ListAsked(field))
        elif self._field_editor is None:
            self._open_editor(self._field_rows[field.key])

    def action_reset(self) -> None:
        """Restore the preset's value of the field at the cursor."""
        self.choose(typed_value(self._preset, self._at))

    def choose(self, text: str) -> None:
        """Set the field at the cursor to this value, if it is valid."""
        field = self.field
        try:
            recipe = edited_recipe(self._recipe, field.key, text)
        except RecipeError as error:
            self.app.notify(visible(error.what), markup=False, severity="warning")
            return
        self.post_message(self.Edited(field, recipe))

    def leave_field(self) -> bool:
        """Close the open field, leaving its value; returns whether one was open."""
        editor, self._field_editor = self._field_editor, None
        if editor is None or editor.field is None:
            return False
        row = self._field_rows[editor.field.key]
        editor.close()
        row.remove_class("being-edited")
        self.screen.set_focus(self)
        return True

    def on_field_input_left(self) -> None:
        """Esc."""
        self.leave_field()

    def on_field_input_taken(self, message: FieldInput.Taken) -> None:
        """Enter or an arrow: close the field, unless its value is invalid."""
        if self._take_field():
            self.action_move(message.move)

    def on_descendant_blur(self) -> None:
        """A click elsewhere also closes the field; a terminal that loses focus doesn't."""
        if self._field_editor is not None and self.app.app_focus:
            self.call_later(self._close_unless_focused)

    def _close_unless_focused(self) -> None:
        editor = self._field_editor
        if editor is None or editor.has_focus_within or not self.screen.is_current:
            return
        if not self._take_field():
            self.leave_field()

    def _take_field(self) -> bool:
        """Close the field and accept its value; False if it is invalid."""
        editor = self._field_editor
        recipe = None if editor is None else editor.outcome()
        if editor is None or editor.field is None or recipe is None:
            return False
        field = editor.field
        self.leave_field()
        if recipe != self._recipe:
            self.post_message(self.Edited(field, recipe))
        return True

    def on_field_row_clicked(self, message: FieldRow.Clicked) -> None:
        """A click moves the cursor; a click on the row at the cursor edits it."""
        if self._field_editor is not None and not self._take_field():
            self.leave_field()
        self.focus()
        if message.field.key == self._at:
            self.action_edit()
        else:
            self._put_cursor(message.field.key)

    def _rows_of(self, section: str) -> list[FieldRow]:
        return [row for row in self._field_rows.values() if row.field.section == section]

    def _matching(self) -> list[str]:
        return [key for key, row in self._field_rows.items() if not row.has_class("no-match")]

    def _put_cursor(self, key: str) -> None:
        self._field_rows[self._at].at_cursor = False
        self._at = key
        row = self._field_rows[key]
        row.at_cursor = True
        is_first = self._rows_of(row.field.section)[0] is row
        if is_first:  # show its heading too
            self.scroll_to_widget(self._headings[row.field.section], animate=False)
        self.scroll_to_widget(row, animate=False)
        self.post_message(self.Moved(row.field))

    def _open_editor(self, row: FieldRow) -> None:
        column = row.parent
        assert isinstance(column, Widget)
        editor = column.query_one(FieldEditor)
        column.move_child(editor, after=row)
        row.add_class("being-edited")
        self._field_editor = editor
        editor.open(row.field, self._recipe)
        self.call_after_refresh(self.scroll_to_widget, editor, animate=False)


def _is_in_second(section: str) -> bool:
    return section in _SECOND_COLUMN or section.startswith("datasets.")


def _name_of(field: RecipeField) -> str:
    """What the filter matches: a field's key in recipes, and its name on the screen."""
    return f"{field.key} {field.label}".casefold()
