"""1 Sessions: finished and running sessions, and the place to start."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import AwaitMount
from textual.widgets import DataTable, Static

from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.sessions.columns import Order, preview_width
from cxr_tui.sessions.folder import SessionsFolder
from cxr_tui.sessions.list_filter import ListFilter
from cxr_tui.sessions.listed import SearchRow
from cxr_tui.sessions.search_rows import SearchFolds
from cxr_tui.sessions.table import SessionsTable
from cxr_tui.sessions.words import foot_of, is_found_by, notes_of, warnings_of
from cxr_tui.terminal.hanging import hanging
from cxr_tui.terminal.key_names import key_of

if TYPE_CHECKING:
    from core.search.watching import SearchSeen
    from core.store.summary import SessionDetails, SessionSummary
    from cxr_tui.runs.queue_seen import QueueSeen
    from cxr_tui.sessions.actions import SessionActions
    from cxr_tui.sessions.listed import Listed

_NOTHING_YET = """
   No sessions yet.

   {first:<11} train on the synthetic set: minutes, no download
   {data:<11} choose a data set of your own
   cxr-tui --batch nih-14 --set dataset.images=/data/nih     from a script
"""


class SessionsScreen(ConsoleScreen):
    """The home screen. It shows no test figures: choosing by them would bias them."""

    MODE = "sessions"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "SessionsTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "new", "new", id="sessions.new"),
        Binding("r", "resume", "resume", id="sessions.resume"),
        Binding("u", "reuse", "reuse recipe", id="sessions.reuse"),
        Binding("d", "delete", "delete", id="sessions.delete"),
        Binding("space", "mark", "mark", id="sessions.mark", key_display="space"),
        Binding("Y", "compare", "compare", id="sessions.compare"),
        Binding("R", "rename", "rename", id="sessions.rename"),
        Binding("i", "tag", "tags", id="sessions.tags"),
        Binding("w", "note", "note", id="sessions.note"),
        Binding("O", "sort", "order", id="sessions.sort"),
        Binding("V", "turn", "reverse the order", id="sessions.turn", show=False),
        Binding("E", "queue", "queue", id="sessions.queue"),
        Binding("enter", "first", "train on the synthetic set", id="sessions.first-run"),
        Binding("o", "data", "open a data set", id="sessions.data"),
    ]

    NEEDS_SOMETHING = frozenset(
        {"resume", "reuse", "delete", "compare", "sort", "turn", "mark", "rename", "tag", "note"}
    )

    class Listed(Message):
        """The sessions of the folder, read on a thread after so many changes of ours."""

        def __init__(
            self, sessions: list[tuple[SessionSummary, SessionDetails]], num_changes: int
        ) -> None:
            super().__init__()
            self.sessions, self.num_changes = sessions, num_changes

    class SearchesSeen(Message):
        """What the studies of the searches say, read on a thread."""

        def __init__(self, seen: dict[str, SearchSeen]) -> None:
            super().__init__()
            self.seen = seen

    class Changed(Message):
        """Sessions were renamed or deleted."""

    def __init__(self) -> None:
        super().__init__()
        self._summaries: list[SessionSummary] = []
        self._details: dict[str, SessionDetails] = {}
        self._folder, self._folds = SessionsFolder(), SearchFolds()
        self._rows: list[Listed] = []
        self._is_read = self._had_queue = False
        self._num_changes = 0
        self._keys_of: tuple[str | None, bool] = (None, False)

    def compose_parts(self) -> ComposeResult:
        """The filter, hidden at first, the list, the selected session's messages, the footer."""
        yield ListFilter()
        keys = {"first": key_of("sessions.first-run"), "data": key_of("sessions.data")}
        yield Static(Content(_NOTHING_YET.format(**keys)), id="nothing", classes="hidden")
        with Horizontal(id="sessions"):
            yield SessionsTable(ascii_only=self.console.ascii_only, id="list")
        yield Static(id="said")
        yield Static(id="noted")
        yield Static(id="foot")

    def on_mount(self) -> None:
        """Read the folder now and every few seconds."""
        self._table.order = Order.of(self.console.list_order)
        self.set_interval(3.0, self.refresh_view)
        self._table.focus()

    def on_resize(self) -> None:
        """Redraw: the width decides which columns fit."""
        if self._is_read:
            self._show()

    def refresh_view(self) -> None:
        """Read the folder again, off this thread."""
        self._read_folder(self._num_changes)

    @work(thread=True, exclusive=True, group="list")
    def _read_folder(self, num_changes: int) -> None:
        self.post_message(self.Listed(self._folder.read(self.workspace.sessions), num_changes))

    def on_sessions_screen_listed(self, message: Listed) -> None:
        """Show the sessions, keeping the cursor; names from before a change are outdated."""
        if message.num_changes != self._num_changes:
            return
        self._summaries = [summary for summary, _ in message.sessions]
        self._details = {summary.name: details for summary, details in message.sessions}
        if self._had_queue != (self._queue is not None):
            self._had_queue = not self._had_queue
            self.refresh_bindings()
        self._is_read = True
        self._folds.names = self._folder.searches
        if self._folder.searches:
            self._read_searches()
        self._table.marked &= {summary.name for summary in self._summaries}
        self._show()

    @work(thread=True, group="searches")
    def _read_searches(self) -> None:
        if (seen := self._folder.read_searches(self.workspace.sessions)) is not None:
            self.post_message(self.SearchesSeen(seen))

    def on_sessions_screen_searches_seen(self, message: SearchesSeen) -> None:
        """Show them."""
        if message.seen != self._folds.seen:
            self._folds.seen = message.seen
            self._show()

    def on_sessions_screen_changed(self) -> None:
        """Read the folder again."""
        self._num_changes += 1
        self.refresh_view()

    @cached_property
    def _actions(self) -> SessionActions:
        from cxr_tui.sessions.actions import SessionActions  # not before the first paint

        return SessionActions(self.console, lambda: self.post_message(self.Changed()))

    @property
    def session_at_cursor(self) -> str:
        """The name of the session under the cursor; '' if there is none."""
        summary = self._chosen_summary()
        return summary.name if summary is not None else ""

    def at_hand(self) -> str:
        """The path of the session under the cursor."""
        return str(self.workspace.sessions / self._table.chosen) if self._table.chosen else ""

    def has_something(self) -> bool:
        """Whether a session is listed."""
        return bool(self._summaries) and self._chosen_search is None

    @property
    def _queue(self) -> QueueSeen | None:
        """The queue, if it has entries."""
        seen = self._folder.queue
        return seen if seen is not None and seen.rows else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not there."""
        if action == "queue":
            return self._queue is not None
        if action in ("fold", "unfold"):
            search = self._search_at_hand()
            return search is not None and (action == "fold") == (search in self._folds.unfolded)
        if self._chosen_search is not None:
            if action in ("sort", "turn", "delete"):
                return True
            if action == "tag":  # those that are marked
                return bool(self._table.marked)
        if action in ("first", "data"):  # only where the list's own keys have nothing to do
            return self._is_read and not self._summaries
        if action == "compare":  # what is compared is marked first
            return bool(self._table.marked)
        return super().check_action(action, parameters)

    def action_queue(self) -> None:
        """Show the queue, to order, pause or empty it."""
        from cxr_tui.sessions.queue_dialog import QueueDialog  # not before the first paint

        if self._queue is not None and self._folder.queue_look is not None:
            dialog = QueueDialog(self._folder.queue_look, self._queue)
            self.app.push_screen(dialog, self._on_queue)

    def _on_queue(self, chosen: tuple[str, str] | None) -> None:
        self.refresh_view()
        if chosen is not None:
            name, state = chosen
            self.console.open_session(name, "results" if state == "finished" else "training")

    @property
    def _filter(self) -> ListFilter:
        return self.query_one(ListFilter)

    @property
    def _table(self) -> SessionsTable:
        return self.query_one(SessionsTable)

    def _show(self) -> None:
        table = self._table
        shown = self._filtered()
        is_empty = not self._summaries and not self._folds.names
        self.query_one("#nothing").set_class(not is_empty, "hidden")
        for part in (table, self.query_one("#sessions")):
            part.set_class(is_empty, "hidden")
        if is_empty:
            self.set_focus(None)  # a hidden list must not show its keys
        elif self.focused is None:
            table.focus()
        is_filtered = bool(self._filter.value)  # then every hit is in sight
        order = table.order
        self._rows = [*order.ordered(shown)] if is_filtered else self._folds.rows(shown, order)
        table.show(self._rows, self.size.width - preview_width(self.size.width))
        self.follow_keys()
        self._show_selected()
        queue = "" if self._queue is None else self._queue.brief
        foot = foot_of(self._summaries, len(shown), self._marked(), order.in_words(), queue)
        self.query_one("#foot", Static).update(foot)

    def _show_selected(self) -> None:
        """Show the selected session's messages in full below the list, and more beside it."""
        summary, width = self._chosen_summary(), preview_width(self.size.width)
        row = next((one for one in self._rows if one.name == self._table.chosen), None)
        for place, lines in (("#said", warnings_of), ("#noted", notes_of)):
            text = Text("\n").join(lines(row) if row else [])
            line = self.query_one(place, Static)
            in_preview = width and place == "#noted" and summary is not None
            line.display = bool(text.plain) and not in_preview
            line.update(hanging(text, self.app.console, self.size.width))
        self._show_preview(summary, width)
        if self._keys_of != (keys := (self._search_at_hand(), isinstance(row, SearchRow))):
            self._keys_of = keys
            self.refresh_bindings()

    def _show_preview(self, summary: SessionSummary | None, width: int) -> None:
        """Show the preview in a wide terminal; it is made when it is first shown."""
        is_wide = width > 0 and summary is not None
        for part in self.query("#preview"):
            part.display = is_wide
        if summary is None or not is_wide:
            return
        from cxr_tui.sessions.preview import Preview  # not before the first paint

        details = self._details[summary.name]
        there = self.query(Preview)
        if not there:
            preview = Preview(ascii_only=self.console.ascii_only, id="preview")
            mounted = self.query_one("#sessions").mount(preview)
            self.call_later(self._show_mounted, mounted)
        elif there.first().children:  # else it is being mounted
            there.first().show(summary, details, width)

    async def _show_mounted(self, mounted: AwaitMount) -> None:
        await mounted
        self._show_selected()

    def on_data_table_row_highlighted(self) -> None:
        """Another session was selected."""
        self._show_selected()

    def _filtered(self) -> list[SessionSummary]:
        typed = self._filter.value
        return [summary for summary in self._summaries if is_found_by(summary, typed)]

    def _chosen_summary(self) -> SessionSummary | None:
        return next((s for s in self._summaries if s.name == self._table.chosen), None)

    @property
    def _chosen_search(self) -> str | None:
        """The search whose row is under the cursor."""
        chosen = next((one for one in self._rows if one.name == self._table.chosen), None)
        return chosen.search if isinstance(chosen, SearchRow) else None

    def _search_at_hand(self) -> str | None:
        """The search under the cursor, or that under which the cursor is."""
        if not self._rows:
            return None
        return self._chosen_search or self._folds.search_of(self._table.chosen)

    def action_unfold(self) -> None:
        """Show the search's trials under it."""
        self._fold(is_folded=False)

    def action_fold(self) -> None:
        """Show the search as one row."""
        self._fold(is_folded=True)

    def _fold(self, *, is_folded: bool) -> None:
        if (search := self._search_at_hand()) is not None:
            self._folds.fold(search, is_folded=is_folded)
            self._show()
            self._table.go_to(SearchRow.name_of(search))
            self.refresh_bindings()

    def _marked(self) -> list[SessionSummary]:
        """Those marked, whether the filter shows them or not."""
        return [summary for summary in self._summaries if summary.name in self._table.marked]

    def _marked_or_selected(self) -> list[SessionSummary]:
        selected = self._chosen_summary()
        return self._marked() or ([selected] if selected else [])

    def action_mark(self) -> None:
        """Mark the session, for what is done to several at once."""
        self._table.toggle_mark()
        self._show()
        self.refresh_bindings()

    def action_first(self) -> None:
        """Train on the synthetic set."""
        self._actions.first_run()

    def action_data(self) -> None:
        """Choose a data set."""
        self._actions.choose_data()

    def action_new(self) -> None:
        """Ask what to train on."""
        self._actions.new()

    def action_open(self) -> None:
        """Show the session: its training, or its results where it is finished; or the search."""
        if (search := self._chosen_search) is not None:
            from cxr_tui.sessions.search_screen import SearchScreen  # not before the first paint

            self.app.push_screen(SearchScreen(self.workspace.sessions, search))
            return
        if (summary := self._chosen_summary()) is not None:
            mode = "results" if summary.state == "finished" else "training"
            self.console.open_session(summary.name, mode)

    def on_data_table_row_selected(self) -> None:
        """Enter on a row."""
        self.action_open()

    def action_resume(self) -> None:
        """Resume the selected session; for a finished one ask for the number of epochs."""
        if (summary := self._chosen_summary()) is not None:
            self._actions.resume(summary)

    def action_reuse(self) -> None:
        """Use the selected session's recipe as the draft."""
        if name := self._table.chosen:
            self._actions.reuse(name)

    def action_rename(self) -> None:
        """Rename the selected session."""
        if name := self._table.chosen:
            taken = {summary.name for summary in self._summaries}

            def renamed(to: str) -> None:
                self._num_changes += 1
                self._table.renamed(name, to)

            self._actions.rename(name, taken, renamed)

    def action_tag(self) -> None:
        """Edit the tags of the marked sessions, or else of the selected one."""
        if chosen := self._marked_or_selected():
            self._actions.tag(chosen)

    def action_note(self) -> None:
        """Edit the selected session's note."""
        if (summary := self._chosen_summary()) is not None:
            self._actions.note(summary.name)

    def action_compare(self) -> None:
        """Compare the marked sessions, the oldest first; a single one with the selected one."""
        chosen = {one.name for one in self._marked()}
        if len(chosen) == 1 and self._table.chosen:
            chosen.add(self._table.chosen)
        if len(chosen) < 2:
            key = key_of("sessions.mark")
            self.console.say(f"mark the sessions to compare first ({key}), two or more")
            return
        names = [one.name for one in reversed(self._summaries) if one.name in chosen]
        self._actions.compare({name: self._details[name].epochs for name in names})

    def action_delete(self) -> None:
        """Delete the marked sessions, or else the selected one, or the selected search."""
        search = self._chosen_search
        if search is not None and not self._marked():
            own = [one for one in self._summaries if self._folds.search_of(one.name) == search]
            self._actions.delete_search(search, own)
            return
        alone = [one for one in self._filtered() if not self._folds.search_of(one.name)]
        self._actions.delete(self._marked_or_selected(), alone)

    def action_filter(self) -> None:
        """Show the filter and edit it."""
        self._filter.open()

    def on_input_changed(self) -> None:
        """Filter while typing."""
        self._show()

    def on_input_submitted(self) -> None:
        """Return to the filtered list."""
        self._table.focus()

    def step_out(self) -> bool:
        """Escape first removes the marks, then the filter."""
        if self._table.marked:
            self._table.marked.clear()
            self._show()
            self.refresh_bindings()
            return True
        if not self._filter.is_open:
            return False
        self._table.focus()
        self._filter.close()
        return True

    def action_sort(self) -> None:
        """Sort by the next column; after the last one by age again."""
        table = self._table
        self._order_by(table.order.next(table.columns_shown))

    def on_data_table_header_selected(self, message: DataTable.HeaderSelected) -> None:
        """A click on a column's head sorts by it, a second one reverses the order."""
        table = self._table
        self._order_by(table.order.by(table.columns_shown[message.column_index]))

    def action_turn(self) -> None:
        """Reverse the order."""
        self._order_by(self._table.order.turned())

    def _order_by(self, order: Order) -> None:
        self._table.order, self.console.list_order = order, str(order)
        self._show()
