"""The queue over the list of sessions: seen, ordered, paused, emptied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from core.errors import CxrError
from cxr_tui.console.console import Console
from cxr_tui.console.dialogs import Dialog, Question
from cxr_tui.console.foot_line import FootLine
from cxr_tui.runs.queue_words import entries_in_words
from cxr_tui.sessions.queue_table import QueueTable
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.store.queue.entry import Entry
    from core.store.queue.queue import Queue
    from cxr_tui.runs.queue_seen import QueueLook, QueueSeen

_ENDS = ("finished", "failed", "stopped")


class QueueDialog(Dialog[tuple[str, str] | None]):
    """Every change is made to the folder at once; workers see it before their next entry.

    Dismissed with an entry's session and state where that is to be opened.
    """

    CSS = """
    QueueDialog > Vertical { width: 100; max-width: 100%; max-height: 100%; padding: 0 1; }
    QueueDialog QueueTable { height: auto; max-height: 14; background: $surface; }
    QueueDialog #why { height: auto; max-height: 4; color: $text-warning; }
    QueueDialog #end { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "earlier", "earlier", id="queue.earlier"),
        Binding("right_square_bracket", "later", "later", id="queue.later"),
        Binding("P", "pause", "pause", id="queue.pause"),
        Binding("S", "start", "start", id="queue.start"),
        Binding("r", "retry", "resume", id="queue.resume"),
        Binding("d", "remove", "delete", id="queue.delete"),
        Binding("U", "empty", "none waiting", id="queue.empty"),
        Binding("escape,backspace,q,E", "leave", "back", id="queue.back", key_display="esc"),
    ]

    console = getters.app(Console)

    class Looked(Message):
        """The queue was read, on a thread."""

        def __init__(self, seen: QueueSeen) -> None:
            super().__init__()
            self.seen = seen

    def __init__(self, look: QueueLook, seen: QueueSeen) -> None:
        super().__init__()
        self._look, self._seen = look, seen

    def compose(self) -> ComposeResult:
        """The entries, why the one under the cursor failed, the expected end, the keys."""
        with Vertical() as frame:
            frame.border_title = Content("Queue")
            yield QueueTable()
            yield Static(id="why")
            yield Static(id="end")
            yield FootLine()

    def on_mount(self) -> None:
        """Show what is known, and look again every few seconds."""
        self._show(self._seen)
        self._table.focus()
        self.set_interval(2.0, self._read)
        self._read()

    @property
    def _table(self) -> QueueTable:
        return self.query_one(QueueTable)

    @work(thread=True, exclusive=True, group="queue-look")
    def _read(self) -> None:
        self.post_message(self.Looked(self._look.look()))

    def on_queue_dialog_looked(self, message: Looked) -> None:
        """Show it."""
        self._show(message.seen)

    def _show(self, seen: QueueSeen) -> None:
        self._seen = seen
        self._table.show(seen)
        here = "; this console works on it" if self.console.queue_work.is_on else ""
        self.query_one("#end", Static).update(Text(visible(seen.words + here), style="dim"))
        self._show_why()

    def on_data_table_row_highlighted(self) -> None:
        """Another entry was selected."""
        self._show_why()

    def _show_why(self) -> None:
        """Why the entry under the cursor failed or can't be read; its keys change too."""
        chosen, why = self._table.chosen, ""
        if chosen is not None:
            entry, _ = chosen
            why = entry.fault or (entry.ended.message if entry.ended else "")
        line = self.query_one("#why", Static)
        line.display = bool(why)
        line.update(Text(visible(" ".join(why.splitlines()))))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not there."""
        chosen = self._table.chosen if self.query(QueueTable) else None
        state = chosen[1] if chosen else ""
        waiting = self._seen.number("waiting", "begun")
        does = {
            "earlier": state == "waiting" and self._neighbour(-1) is not None,
            "later": state == "waiting" and self._neighbour(1) is not None,
            "pause": bool(waiting) or self._seen.is_paused,
            "start": bool(waiting) and not self.console.queue_work.is_on,
            "retry": state in ("failed", "stopped"),
            "remove": state not in ("", "running"),
            "empty": self._seen.number("running") < len(self._seen.rows),
        }
        return does.get(action, True)

    def own_words_of(self, binding: Binding) -> str:
        """What a binding does now."""
        if binding.action == "pause" and self._seen.is_paused:
            return "continue"
        return binding.description

    def _neighbour(self, by: int) -> Entry | None:
        """The waiting entry before or after the one under the cursor."""
        at = self._table.cursor_row + by
        rows = self._seen.rows
        return rows[at][0] if 0 <= at < len(rows) and rows[at][1] == "waiting" else None

    def action_earlier(self) -> None:
        """Take the entry before the one above it."""
        self._move(-1)

    def action_later(self) -> None:
        """Take the entry after the one below it."""
        self._move(1)

    def _move(self, by: int) -> None:
        chosen = self._table.chosen
        if chosen is None or self._neighbour(by) is None:
            return
        left = [entry.name for entry, _ in self._seen.rows if entry.ended is None]
        to = left.index(chosen[0].name) + by
        self._change(lambda queue: queue.move(chosen[0], to))

    def action_pause(self) -> None:
        """Let no worker take another entry, or let them again."""
        is_paused = self._seen.is_paused
        self._change(lambda queue: queue.go_on() if is_paused else queue.pause())

    def action_start(self) -> None:
        """Take entries in this console, after a run that is on."""
        self.console.queue_work.start()
        self._show(self._seen)

    def action_retry(self) -> None:
        """Let the entry wait again."""
        if (chosen := self._table.chosen) is not None:
            self._change(lambda queue: queue.put_back(chosen[0]))

    def action_remove(self) -> None:
        """Remove the entry; its session stays."""
        if (chosen := self._table.chosen) is not None:
            self._change(lambda queue: queue.remove(chosen[0]))

    def action_empty(self) -> None:
        """Ask, then remove what isn't running, or only what has ended."""
        left = self._seen.number("waiting", "begun", "damaged")
        ended = self._seen.number(*_ENDS)
        answers = [("y", f"remove {entries_in_words(left + ended)}")]
        if left and ended:
            answers.append(("e", f"remove {entries_in_words(ended)}, only what has ended"))
        question = Question("Empty the queue?", "What runs goes on, and sessions stay.", answers)
        self.app.push_screen(question, self._on_empty)

    def _on_empty(self, answer: str | None) -> None:
        if answer not in ("y", "e"):
            return
        going = [
            entry
            for entry, state in self._seen.rows
            if state != "running" and (answer == "y" or state in _ENDS)
        ]

        def empty(queue: Queue) -> None:
            for entry in going:
                queue.remove(entry)

        self._change(empty)

    def _change(self, change: Callable[[Queue], None]) -> None:
        from core.store.queue.queue import Queue

        try:
            change(Queue(self.console.workspace.sessions))
        except CxrError as error:
            self.console.say(str(error))
        self._read()

    def on_data_table_row_selected(self) -> None:
        """Enter on an entry opens its session."""
        chosen = self._table.chosen
        if chosen is None or not chosen[0].session.path.is_dir():
            return
        self.dismiss((chosen[0].session.name, chosen[1]))
