"""One field of the form when not edited: mark, label, value, unit."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from core.recipe import PATH_KEYS
from cxr_tui.recipe.fields import RecipeField
from cxr_tui.terminal.safe_text import visible

LABEL_CELLS = 22
MARK_CELLS = 4


class FieldRow(Widget):
    """Mark, label, value, unit of one field."""

    DEFAULT_CSS = """
    FieldRow { height: 1; }
    FieldRow.at-cursor { background: $primary 25%; }
    """
    value: reactive[str] = reactive("")
    changed: reactive[bool] = reactive(False)
    unused: reactive[bool] = reactive(False)
    at_cursor: reactive[bool] = reactive(False, toggle_class="at-cursor")

    class Clicked(Message):
        """A row was clicked."""

        def __init__(self, field: RecipeField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, field: RecipeField) -> None:
        super().__init__()
        self.field = field

    def on_click(self) -> None:
        """Notify the form."""
        self.post_message(self.Clicked(self.field))

    def render(self) -> Text:
        """One line; the middle of a long value is left out."""
        pointer = "▸" if self.at_cursor else " "
        bullet = "•" if self.changed else " "
        text = Text(f" {pointer}{bullet} ", no_wrap=True, overflow="ellipsis")
        text.append(f"{self.field.label:<{LABEL_CELLS}}", style="dim" if self.unused else "")
        unit = f" {self.field.unit}" if self.field.unit else ""
        if self.value == "1":
            unit = unit.removesuffix("s")
        room = self.size.width - MARK_CELLS - LABEL_CELLS - len(unit)
        style = "dim" if self.unused else ("bold" if self.changed else "")
        text.append(shortened(self.field.key, visible(self.value), room), style=style)
        return text.append(unit, style="dim")


def shortened(key: str, value: str, cells: int) -> str:
    """A value on one line, in at most ``cells`` cells."""
    value = value.replace("\n", " ")
    if key in PATH_KEYS or "/" in value:
        return elided(value, cells)
    return value if cell_len(value) <= cells else f"{set_cell_size(value, cells - 1).rstrip()}…"


def elided(text: str, cells: int) -> str:
    """The text in at most ``cells`` cells, its middle left out: the end of a path matters most."""
    if cell_len(text) <= cells:
        return text
    if cells < 2:
        return "…"[: max(0, cells)]
    head, tail = "", ""
    letters = list(text)
    while letters:
        takes_head = cell_len(head) * 2 < cell_len(tail)
        letter = letters.pop(0) if takes_head else letters.pop()
        if cell_len(head) + cell_len(tail) + cell_len(letter) > cells - 1:
            break
        head, tail = (head + letter, tail) if takes_head else (head, letter + tail)
    return f"{head}…{tail}"
