"""The data screen's question: findings to tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.strip import Strip
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection

from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.widgets.lists import Options


class Checklist(SelectionList[str], Options):
    """Ticks visible without colours, drawn with letters: [x] or [ ]."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.take", "take", id="findings.take"),
    ]

    def render_line(self, y: int) -> Strip:
        """The line, with its three-cell button redrawn."""
        row = self.scroll_offset.y + y
        line = super().render_line(y)
        if row >= self.option_count:
            return line
        _, inner, _, *rest = line
        is_ticked = self.get_option_at_index(row).value in self.selected
        return Strip(
            [
                Segment("[", inner.style),
                Segment("x" if is_ticked else " ", inner.style),
                Segment("]", inner.style),
                *rest,
            ]
        )


class FindingsDialog(Dialog[tuple[str, ...] | None]):
    """A checklist of the table's findings."""

    CSS = """
    FindingsDialog > Vertical { width: 60; }
    FindingsDialog Checklist { height: auto; max-height: 16; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q", "leave", "back", id="findings.back", show=False),
        Binding("A", "all", "all", id="findings.all"),
        Binding("U", "none", "none", id="findings.none"),
    ]

    def __init__(self, positives: Mapping[str, int], chosen: Sequence[str]) -> None:
        super().__init__()
        self._positives, self._chosen = dict(positives), tuple(chosen)

    def compose(self) -> ComposeResult:
        """One line per finding, with its positives in the whole table."""
        width = max(len(name) for name in self._positives)
        with Vertical():
            yield Static(Content("Findings to learn (images with it)"), classes="title")
            yield Checklist(
                *(
                    Selection(Content(f"{name:<{width}} {count:>8,}"), name, name in self._chosen)
                    for name, count in self._positives.items()
                )
            )
            yield Static(id="fault")
            yield Static(
                key_words(
                    ("space", "tick"),
                    ("A", "all"),
                    ("U", "none"),
                    ("enter", "take"),
                    ("esc", "back"),
                )
            )

    @property
    def _list(self) -> Checklist:
        return self.query_one(Checklist)

    def action_all(self) -> None:
        """Tick all."""
        self._list.select_all()

    def action_none(self) -> None:
        """Tick none."""
        self._list.deselect_all()

    def action_take(self) -> None:
        """Return the ticked ones, in the table's order."""
        ticked = set(self._list.selected)
        if not ticked:
            self.query_one("#fault", Static).update(Content("✗ tick at least one"))
            return
        self.dismiss(tuple(name for name in self._positives if name in ticked))
