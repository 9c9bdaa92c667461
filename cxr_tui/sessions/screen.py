"""1 Sessions: what was run, what runs, and where to begin."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from core.errors import CxrError
from core.words import number_of
from cxr_tui.console.dialogs import Question, ValueDialog
from cxr_tui.console.line_input import LineInput
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.runs.health_text import GRAVE, sign_of
from cxr_tui.runs.run_view import MARKS
from cxr_tui.terminal.hanging import hanging
from cxr_tui.terminal.safe_text import duration, name_shortened, visible

if TYPE_CHECKING:
    from core.store.summary import SessionSummary, SessionWatch

_NOTHING_YET = """
   No sessions yet.

   n, Enter    train on the synthetic set: minutes, no download
   2           choose your own NIH folder
   cxr-tui --batch nih-14 --set dataset.images=/data/nih     from a script
"""

_PADDING, _SCROLL_BAR, _SHORTEST_NAME = 2, 1, 16
"""Cells beside each column, those of the scroll bar, and the least left for a name."""

_MOST_DIGITS = 6
"""Of a number of epochs."""

_SORTS = ("age", "val AUROC", "name")


class SessionsTable(DataTable[Text]):
    """The list; Enter opens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open", id="sessions.open", key_display="enter"),
        Binding("home", "scroll_top", "first session", id="sessions.first", show=False),
        Binding("end", "scroll_bottom", "last session", id="sessions.last", show=False),
    ]


class SessionsScreen(ConsoleScreen):
    """The home of the console. Test figures are not here: choosing by them would spoil them."""

    MODE = "sessions"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "SessionsTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new", id="sessions.new"),
        Binding("r", "resume", "resume", id="sessions.resume"),
        Binding("u", "reuse", "reuse recipe", id="sessions.reuse"),
        Binding("d", "delete", "delete", id="sessions.delete"),
        Binding("slash", "filter", "filter", id="sessions.filter", key_display="/"),
        Binding("o", "sort", "order", id="sessions.sort", show=False),
    ]

    class Listed(Message):
        """The sessions of the folder, read on a thread."""

        def __init__(self, summaries: list[SessionSummary]) -> None:
            super().__init__()
            self.summaries = summaries

    def __init__(self) -> None:
        super().__init__()
        self._summaries: list[SessionSummary] = []
        self._names: list[str] = []
        self._watches: dict[str, SessionWatch] = {}
        self._sort_by = _SORTS[0]

    def compose_parts(self) -> ComposeResult:
        """A filter that is hidden until asked for, the list, what one of them says, the foot."""
        # Disabled while it is hidden: a field that nobody sees must not take the focus and keys.
        yield LineInput(
            placeholder="part of a name or state", id="filter", classes="hidden", disabled=True
        )
        yield Static(_NOTHING_YET, id="nothing", classes="hidden")
        yield SessionsTable(id="list", cursor_type="row")
        yield Static(id="said")
        yield Static(id="foot")

    def on_mount(self) -> None:
        """Read the folder now and every few seconds."""
        table = self._table
        for name in ("name", "state", "epoch", "val AUROC", "best at", "age", "size"):
            left = name in ("name", "state")
            table.add_column(Text(name, justify="left" if left else "right"), key=name)
        self.set_interval(3.0, self.refresh_view)
        table.focus()

    def refresh_view(self) -> None:
        """Read the folder again, off this thread."""
        self._read_folder()

    @work(thread=True, exclusive=True, group="list")
    def _read_folder(self) -> None:
        # Loaded here, on the thread: the first frame is on the screen by now.
        from core.store.sessions import list_sessions
        from core.store.summary import SessionWatch

        sessions = list_sessions(self.workspace.sessions)
        known = self._watches
        self._watches = {s.name: known.get(s.name) or SessionWatch(s) for s in sessions}
        summaries = [watch.summary() for watch in self._watches.values()]
        self.post_message(self.Listed(summaries))

    def on_sessions_screen_listed(self, message: Listed) -> None:
        """Show what was read, the cursor where it was."""
        self._summaries = message.summaries
        self._show()

    @property
    def _table(self) -> SessionsTable:
        return self.query_one(SessionsTable)

    def _show(self) -> None:
        table = self._table
        chosen = self._chosen()
        shown = self._filtered()
        self.query_one("#nothing").set_class(bool(self._summaries), "hidden")
        table.set_class(not self._summaries, "hidden")
        if not self._summaries:
            self.set_focus(None)  # a list that nobody sees has no keys to offer
        elif self.focused is None:
            table.focus()
        table.clear()
        for column in table.columns.values():  # clearing keeps them as wide as rows that are gone
            column.content_width = column.label.cell_len
        self._names = []
        rows = [_cells(summary) for summary in shown]
        room = _room_for_name(rows, [column.label for column in table.columns.values()])
        room = max(_SHORTEST_NAME, self.size.width - room)
        for summary, cells in zip(shown, rows, strict=True):
            name = Text(name_shortened(visible(summary.name), room), no_wrap=True)
            table.add_row(name, *cells)
            self._names.append(summary.name)
        if chosen in self._names:
            table.move_cursor(row=self._names.index(chosen), scroll=False)
        self._show_said()
        self.query_one("#foot", Static).update(self._foot(len(shown)))

    def _show_said(self) -> None:
        """What the session under the cursor says of itself, in full, below the list."""
        summary = next((s for s in self._summaries if s.name == self._chosen()), None)
        said = Text("\n").join(_said(summary) if summary else [])
        line = self.query_one("#said", Static)
        line.display = bool(said.plain)
        line.update(hanging(said, self.app.console, self.size.width))

    def on_data_table_row_highlighted(self) -> None:
        """The cursor went to another session."""
        self._show_said()

    def _filtered(self) -> list[SessionSummary]:
        wanted = self.query_one("#filter", Input).value.casefold()
        shown = [s for s in self._summaries if wanted in f"{s.name} {s.state}".casefold()]
        if self._sort_by == "name":
            shown.sort(key=lambda summary: summary.name)
        elif self._sort_by == "val AUROC":
            shown.sort(key=lambda summary: -(summary.best_val_auroc or 0.0))
        return shown

    def _foot(self, shown: int) -> Text:
        total = sum(summary.num_bytes for summary in self._summaries)
        count = len(self._summaries)
        text = f" {number_of(count, 'session')}, {total / 1e9:.1f} GB"
        if shown != count:
            text += f"; the filter shows {shown}, esc shows all"
        if self._sort_by != "age":
            text += f"; by {self._sort_by}"
        return Text(text, style="dim")

    def _chosen(self) -> str:
        row = self._table.cursor_row
        return self._names[row] if 0 <= row < len(self._names) else ""

    def action_new(self) -> None:
        """Ask what to train on."""
        answers = [("enter", "train the demo on the synthetic set"), ("2", "choose a data set")]
        self.app.push_screen(
            Question("A new session", "The synthetic set takes minutes.", answers), self._on_new
        )

    def _on_new(self, answer: str | None) -> None:
        if answer == "enter":
            self.console.start_run(self.workspace.first_recipe())
        elif answer == "2":
            self.console.action_mode("data")

    def action_open(self) -> None:
        """Show the session: its training, or its results where it is finished."""
        chosen = self._chosen()
        if not chosen:
            return
        state = next((s.state for s in self._summaries if s.name == chosen), "")
        self.console.open_session(chosen, "results" if state == "finished" else "training")

    def on_data_table_row_selected(self) -> None:
        """Enter on a row."""
        self.action_open()

    def action_resume(self) -> None:
        """Go on with the session; a finished one is asked how many epochs it shall have."""
        chosen = self._chosen()
        if not chosen:
            return
        state = next((s.state for s in self._summaries if s.name == chosen), "")
        if state == "finished":
            self._ask_for_more(chosen)
            return
        self.console.resume_run(chosen)

    def _ask_for_more(self, name: str) -> None:
        """How many epochs a finished session is to have in all; with more it goes on."""
        try:
            done = self.workspace.open(name).recipe.train.epochs
        except CxrError as error:
            self.console.say(str(error))
            return

        def fault_of(text: str) -> str:
            typed = text.strip()  # Python refuses to read a number of thousands of digits
            is_more = typed.isdecimal() and len(typed) <= _MOST_DIGITS and int(typed) > done
            return "" if is_more else f"✗ a whole number above {done:,}"

        def take(text: str | None) -> None:
            if text is not None:
                self.console.resume_run(name, epochs=int(text))

        dialog = ValueDialog(
            f"{name} is finished, after {number_of(done, 'epoch')}",
            "How many epochs in total? It continues from its last checkpoint, and its test part is "
            "scored again with the best epoch of all.",
            f"{2 * done}",
            fault_of,
        )
        self.app.push_screen(dialog, take)

    def action_reuse(self) -> None:
        """Take the session's recipe as the draft."""
        chosen = self._chosen()
        if not chosen:
            return
        try:
            self.workspace.draft = self.workspace.open(chosen).recipe
        except CxrError as error:
            self.console.say(str(error))
            return
        self.workspace.preset = chosen
        self.console.action_mode("recipe")

    def action_delete(self) -> None:
        """Ask, saying what goes."""
        chosen = self._chosen()
        summary = next((s for s in self._summaries if s.name == chosen), None)
        if summary is None:
            return
        if summary.state in ("running", "paused"):
            self.console.say(f"{chosen} is running: stop it first (open it, X)")
            return
        from core.store.session import Session

        if (
            summary.state == "silent"
            and Session(self.workspace.sessions / chosen).is_being_written()
        ):
            self.console.say(f"{chosen} is held by a silent process, suspended maybe: end it first")
            return
        text = (
            f"{summary.num_bytes / 1e6:,.0f} MB: its recipe, events, checkpoints, predictions and "
            "figures. There is no way back."
        )
        question = Question(f"Delete {chosen}?", text, [("y", "delete it for good")])
        self.app.push_screen(question, lambda answer: self._on_delete(chosen, answer))

    def _on_delete(self, name: str, answer: str | None) -> None:
        if answer != "y":
            return
        shown = self.workspace.shown
        if shown is not None and shown.name == name:
            self.workspace.shown = None
        try:
            shutil.rmtree(self.workspace.sessions / name)
        except OSError as error:
            self.console.say(f"{name} can't be deleted ({error.strerror})")
        self.refresh_view()

    def action_filter(self) -> None:
        """Show the filter and edit it."""
        field = self.query_one("#filter", Input)
        field.remove_class("hidden")
        field.disabled = False
        field.focus()

    def on_input_changed(self) -> None:
        """Filter while typing."""
        self._show()

    def on_input_submitted(self) -> None:
        """Back to the list, filtered."""
        self._table.focus()

    def step_out(self) -> bool:
        """Escape takes the filter away first."""
        field = self.query_one("#filter", Input)
        if field.has_class("hidden"):
            return False
        field.value = ""
        self._table.focus()
        field.add_class("hidden")
        field.disabled = True
        return True

    def action_sort(self) -> None:
        """The next order: by age, best val AUROC, name."""
        self._sort_by = _SORTS[(_SORTS.index(self._sort_by) + 1) % len(_SORTS)]
        self._show()


def _cells(summary: SessionSummary) -> list[Text]:
    """What stands beside the name; a mark where there is more to read below the list."""
    auroc = "–" if summary.best_val_auroc is None else f"{summary.best_val_auroc:.3f}"
    state = summary.state
    age = duration(max(0.0, time.time() - summary.updated))
    if state == "silent":
        state = f"silent {age}"
    mark = f" {sign_of(summary.health)}" if summary.health in GRAVE else ""
    numbers = (
        f"{summary.epoch}/{summary.epochs}",
        auroc,
        "–" if summary.best_epoch is None else str(summary.best_epoch),
        age,
        f"{summary.num_bytes / 1e6:,.0f} MB",
    )
    return [
        Text(f"{MARKS[summary.state]} {state}{mark}"),
        *(Text(cell, justify="right") for cell in numbers),
    ]


def _room_for_name(rows: Sequence[Sequence[Text]], heads: Sequence[Text]) -> int:
    """Cells that all but the name take at their widest."""
    columns: Iterable[tuple[Text, ...]] = zip(heads[1:], *rows, strict=True)
    widest = [max(cell.cell_len for cell in column) + _PADDING for column in columns]
    return sum(widest) + _PADDING + _SCROLL_BAR


def _said(summary: SessionSummary) -> list[Text]:
    lines = []
    if summary.message:
        lines.append(Text(f" ▲ {_one_line(summary.message)}"))
    if summary.health in GRAVE:
        said = f" {sign_of(summary.health)} {_one_line(summary.health_text)}"
        lines.append(Text(said))
    return lines


def _one_line(text: str) -> str:
    return visible(" ".join(text.splitlines()))
