"""One finding's figures by sex, age, view and their pairs, beside their gaps to the rest."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from core.report_shape import PartReport
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.reports.subgroup_table import FINDING_NOTES, HEAD, finding_rows, summary_words
from cxr_tui.terminal.safe_text import shortened, visible
from cxr_tui.widgets.lists import ListTable

_WIDTHS = (9, 7, 7, 7, 7, 6, 7, 8, 7)
_NAME, _SCROLLBAR = 13, 1


class GroupList(ListTable):
    """The groups: figures, and gaps to the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,g", "scroll_top", "first group", id="groups.first", show=False),
        Binding("end,G", "scroll_bottom", "last group", id="groups.last", show=False),
    ]

    def __init__(self, rows: list[tuple[str, ...]]) -> None:
        super().__init__(cursor_type="row", cell_padding=0)
        self._groups = rows
        self._name_width = 0

    def on_resize(self) -> None:
        """The names get what the figures leave."""
        wanted = max([_NAME, *(len(visible(row[0])) + 1 for row in self._groups)])
        width = max(_NAME, min(wanted, self.size.width - sum(_WIDTHS) - _SCROLLBAR))
        if not self.size.width or width == self._name_width:
            return
        self._name_width, at = width, self.cursor_row
        self.clear(columns=True)
        self.add_column(Text(f" {HEAD[0]}"), width=width)
        for head, wide in zip(HEAD[1:], _WIDTHS, strict=True):
            self.add_column(Text(head, justify="right"), width=wide)
        for name, *cells in self._groups:
            shown = Text(f" {shortened(visible(name), width - 1)}")
            self.add_row(shown, *(Text(cell, justify="right") for cell in cells))
        self.move_cursor(row=at)


class Subgroups(ConsoleScreen):
    """The groups of one finding; Escape returns to the figures."""

    MODE = "results"
    AUTO_FOCUS = "GroupList"
    CSS = """
    Subgroups GroupList { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    Subgroups #hint { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.step_out", "back", id="groups.back", key_display="esc"),
    ]

    def __init__(self, finding: str, part: str, report: PartReport) -> None:
        super().__init__()
        self._finding, self._part, self._report = finding, part, report

    def compose_parts(self) -> ComposeResult:
        """A head, the groups, how to read them."""
        head = f" {visible(self._finding)} · {visible(self._part)} · by group, at one threshold"
        yield Static(Text(head, no_wrap=True, overflow="ellipsis"), classes="head")
        yield GroupList(finding_rows(self._report, self._finding))
        lines = [visible(summary_words(self._report)), *FINDING_NOTES]
        yield Static(Text("\n".join(lines)), id="hint")

    def step_out(self) -> bool:
        """Back to the figures."""
        self.dismiss(None)
        return True
