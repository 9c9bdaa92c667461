"""The entries of the queue, one row each; the cursor stays with its entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from cxr_tui.terminal.safe_text import duration, name_shortened, visible
from cxr_tui.widgets.lists import ListTable

if TYPE_CHECKING:
    from core.store.queue.entry import Entry
    from cxr_tui.runs.queue_seen import QueueSeen

_OTHER_CELLS = 34
"""Of the columns beside the session's name."""


class QueueTable(ListTable):
    """Entries in the order in which they are taken."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open", id="queue.open", key_display="enter"),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self._rows: Sequence[tuple[Entry, str]] = ()

    @property
    def chosen(self) -> tuple[Entry, str] | None:
        """The entry under the cursor, and its state."""
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An entry that waits has no session to open yet."""
        if action != "select_cursor":
            return True
        return self.chosen is not None and self.chosen[1] not in ("waiting", "damaged")

    def show(self, seen: QueueSeen) -> None:
        """Show these; the cursor goes with its entry."""
        before, at = self.chosen, self.cursor_row
        name = before[0].name if before else ""
        self._rows = seen.rows
        self.clear(columns=True)
        for head, justify in (("entry", "right"), ("state", "left"), ("session", "left")):
            self.add_column(Text(head, justify=justify))  # type: ignore[arg-type]
        self.add_column(Text("takes", justify="right"))
        room = max(12, self.size.width - _OTHER_CELLS)
        for entry, state in seen.rows:
            seconds = seen.end.by_entry.get(entry.name)
            self.add_row(
                Text(f"{entry.number}", justify="right"),
                Text(state),
                Text(name_shortened(visible(entry.session.name), room), no_wrap=True),
                Text("–" if seconds is None else duration(seconds), justify="right"),
            )
        names = [entry.name for entry, _ in seen.rows]
        self.move_cursor(row=names.index(name) if name in names else min(at, len(names) - 1))
