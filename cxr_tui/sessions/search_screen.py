"""One search, while it runs in other processes or after: its trials, the best so far, its keys."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.sessions.search_rows import in_words
from cxr_tui.sessions.trials_table import CHART_TITLES, TrialsTable, trials_chart
from cxr_tui.terminal.hanging import hanging
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.titled_chart import TitledChart

if TYPE_CHECKING:
    from pathlib import Path

    from core.search.watching import SearchSeen, SearchWatch

_MOST_KEYS_TOLD = 6


class SearchScreen(ConsoleScreen):
    """Reads the search's study again and again; nothing is written."""

    MODE = "sessions"
    AUTO_FOCUS = "#trials"
    CSS = """
    SearchScreen #head { height: auto; max-height: 2; }
    SearchScreen #all { height: 1fr; layout: vertical; }
    SearchScreen #left { height: 1fr; }
    SearchScreen #trials { height: 1fr; scrollbar-size: 1 1; }
    SearchScreen TitledChart { height: 1fr; border-top: solid $panel; }
    SearchScreen #why { height: auto; max-height: 4; color: $text-warning; display: none; }
    SearchScreen #keys { height: auto; max-height: 3; display: none; }
    SearchScreen.-big #all { layout: horizontal; }
    SearchScreen.-big #left { width: 3fr; height: 1fr; }
    SearchScreen.-big TitledChart {
        width: 2fr; height: 1fr; border-top: none; border-left: solid $panel;
    }
    SearchScreen.chart-large #left { display: none; }
    SearchScreen.chart-large TitledChart { border: none; width: 1fr; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-big")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="search.open", key_display="enter", priority=True),
        Binding("z", "zoom", "zoom", id="search.large"),
        Binding("escape,backspace", "app.step_out", "back", id="search.back", key_display="esc"),
    ]

    class Looked(Message):
        """The study was read, on a thread."""

        def __init__(self, seen: SearchSeen) -> None:
            super().__init__()
            self.seen = seen

    def __init__(self, sessions: Path, name: str) -> None:
        super().__init__()
        self._folder, self._search = sessions, name
        self._watch: SearchWatch | None = None
        self._looking = threading.Lock()
        self._seen: SearchSeen | None = None

    def compose_parts(self) -> ComposeResult:
        """A head, the trials, the chart, what is wrong, which key mattered."""
        yield Static(id="head", classes="head")
        with Horizontal(id="all"):
            with Vertical(id="left"):
                yield TrialsTable()
            yield TitledChart(ascii_only=self.console.ascii_only)
        yield Static(id="why")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Read the study now and every few seconds."""
        self._tell("#head", f"{self._search} · reading")
        self.set_interval(2.0, self._look)
        self._look()

    @work(thread=True, group="search-look")
    def _look(self) -> None:
        if not self._looking.acquire(blocking=False):  # a database may take its time
            return
        try:
            from core.search.place import FOLDER
            from core.search.watching import SearchWatch

            if self._watch is None:
                self._watch = SearchWatch(self._folder / FOLDER / self._search)
            seen = self._watch.look(weighs_keys=True)
        finally:
            self._looking.release()
        self.post_message(self.Looked(seen))

    def on_search_screen_looked(self, message: Looked) -> None:
        """Show what has changed."""
        if message.seen == self._seen:
            return
        self._seen = seen = message.seen
        told = in_words(seen) or ("can't be read" if seen.fault else "no trial yet")
        self._tell("#head", f"{self._search} · {told}")
        self.query_one(TrialsTable).show(seen)
        self.query_one(TitledChart).show(CHART_TITLES, trials_chart(seen))
        shares = [
            f"{key} {100 * share:.0f} %"
            for key, share in [*seen.importance.items()][:_MOST_KEYS_TOLD]
        ]
        self.follow_keys(bool(seen.trials))
        self._tell("#keys", f"which key mattered: {', '.join(shares)}" if shares else "")
        self._show_why()

    def on_data_table_row_highlighted(self) -> None:
        """Another trial was selected."""
        self._show_why()

    def _show_why(self) -> None:
        """What is wrong with the storage, or why the trial under the cursor ended early."""
        chosen = self.query_one(TrialsTable).chosen
        why = f"trial {chosen.number:02d}: {chosen.why}" if chosen and chosen.why else ""
        self._tell("#why", (self._seen.fault if self._seen else "") or why)

    def _tell(self, place: str, words: str) -> None:
        line = self.query_one(place, Static)
        line.display = bool(words)
        text = Text(f" {visible(' '.join(words.split()))}")
        line.update(hanging(text, self.app.console, self.size.width))

    def has_something(self) -> bool:
        """Whether there is a trial to open."""
        return self._seen is not None and bool(self._seen.trials)

    NEEDS_SOMETHING = frozenset({"open"})

    def action_open(self) -> None:
        """Show the training of the trial under the cursor."""
        chosen = self.query_one(TrialsTable).chosen
        if chosen is None:
            return
        if not (self._folder / chosen.session).is_dir():
            self.console.say(f"{chosen.session} is not among these sessions: it ran elsewhere")
            return
        self.dismiss(None)
        self.console.open_session(chosen.session, "training")

    def action_zoom(self) -> None:
        """The chart alone, or the table again."""
        self.toggle_class("chart-large")

    def step_out(self) -> bool:
        """Back to the list."""
        self.dismiss(None)
        return True
