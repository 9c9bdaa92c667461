"""4 Training: is it learning, how far is it, what does it report."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cxr_tui.console.part_figures import PartFigures
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.runs.device_use import CpuTime
from cxr_tui.runs.liveness import GONE, INTERRUPTED, Liveness, LivenessLook
from cxr_tui.runs.open_session import OpenSession
from cxr_tui.terminal.hanging import hanging
from cxr_tui.terminal.key_names import key_of
from cxr_tui.training import text as training_text
from cxr_tui.training.auroc_table import AurocTable
from cxr_tui.training.curves import CURVES, beside, curve_chart, curve_titles, export_title
from cxr_tui.training.health_dialog import show_health
from cxr_tui.training.val_intervals import val_intervals
from cxr_tui.widgets.chart_export import ChartExport
from cxr_tui.widgets.health_panel import HealthPanel
from cxr_tui.widgets.line_chart import Chart
from cxr_tui.widgets.lists import SearchedText, TextScroll
from cxr_tui.widgets.titled_chart import TitledChart

LOOK_SECONDS = 3.0
"""Between two checks of the session's files and its device."""

LOOK_AGAIN_SECONDS = 0.25
"""Between two updates of how far a session's file is read."""

DRAW_SECONDS = 0.9
"""Between two drawings of the curves if only steps were added: drawing is expensive."""

_NOTHING_SHOWN = """
   No session is shown.

   {choose:<11} choose one
   {new:<11} train on the synthetic set
   {start:<11} start the recipe at hand
"""


class TrainingScreen(ConsoleScreen):
    """Curves, the AUROC of each finding, messages, progress."""

    MODE = "training"
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (160, "-widest")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "app.pause", "pause", id="training.pause"),
        Binding("X", "app.stop", "stop", id="training.stop"),
        Binding("r", "app.resume_shown", "resume", id="training.resume"),
        Binding("u", "app.reuse_shown", "reuse recipe", id="training.reuse"),
        Binding("comma", "curve(-1)", "previous curve", id="training.previous", show=False),
        Binding("full_stop", "curve(1)", "curve", id="training.next", key_display=", ."),
        Binding("h", "health", "health", id="training.health"),
        Binding("z", "large", "zoom", id="training.large"),
        Binding("v", "toggle_log", "log", id="training.messages"),
        Binding("e", "export", "export", id="training.export"),
        Binding("l", "log_scale", "log scale", id="training.log"),
        Binding("O", "order", "order", id="training.order"),
        Binding("M", "smooth", "smooth", id="training.smooth"),
    ]

    NEEDS_SOMETHING = frozenset(
        {"curve", "health", "large", "toggle_log", "export", "log_scale", "order", "smooth"}
    )

    class Looked(Message):
        """Result of a check of a session's files and device."""

        def __init__(self, shown: OpenSession, liveness: Liveness, cpu: CpuTime | None) -> None:
            super().__init__()
            self.shown, self.liveness, self.cpu = shown, liveness, cpu

    def __init__(self) -> None:
        super().__init__()
        self._figures = PartFigures()
        self._curve = CURVES[0]
        self._log_scale = False
        self._smooth = False
        self._liveness = Liveness()
        self._looked_at: tuple[object, ...] = ()
        self._cpu: CpuTime | None = None
        self._parts: dict[str, Text] = {}
        self._drawn: tuple[object, ...] = ()
        self._drawn_at = 0.0
        self._will_draw = False

    def compose_parts(self) -> ComposeResult:
        """Head, curves, table next to messages, foot."""
        ascii_only = self.console.ascii_only
        yield self._figures
        yield Static(id="head", classes="head")
        nothing = _NOTHING_SHOWN.format(
            choose=key_of("mode.sessions"),
            new=key_of("mode.sessions", "sessions.new"),
            start=key_of("mode.recipe", "run.start"),
        )
        yield Static(Content(nothing), id="nothing")
        with Vertical(id="shown"):
            yield Static(id="notice")
            with Horizontal(id="curves"):
                yield TitledChart(ascii_only=ascii_only, id="first")
                yield TitledChart(ascii_only=ascii_only, id="second")
            with Horizontal(id="below"):
                yield AurocTable(ascii_only=ascii_only, id="aurocs")
                with Vertical(id="beside"):
                    yield Static(id="device")
                    with TextScroll(id="messages"):
                        yield HealthPanel(ascii_only=ascii_only, id="health")
                        yield SearchedText(id="log")
            yield Static(id="foot")

    def words_at_hand(self) -> str:
        """The table's, or the log's, and what is drawn."""
        if not self.has_something():
            return ""
        drawn = "base rate" if self._curve == CURVES[0] else ""
        return f"{super().words_at_hand()}  {drawn}"

    def has_something(self) -> bool:
        """Whether a session is shown."""
        return self.workspace.shown is not None

    def on_mount(self) -> None:
        """Check every few seconds what events don't report."""
        self.set_interval(LOOK_SECONDS, self._look)
        self.set_interval(1.0, self._tick)

    def on_screen_resume(self) -> None:
        """Show what changed meanwhile."""
        super().on_screen_resume()
        self._look()

    def on_resize(self) -> None:
        """The head and the bar depend on the width."""
        self.refresh_view()

    def refresh_view(self) -> None:
        """Show news of the session shown."""
        shown = self.workspace.shown
        self.query_one("#nothing").display = shown is None
        self.query_one("#shown").display = shown is not None
        if shown is None:
            self.query_one("#head", Static).update("")
            return
        self._look_anew(shown)
        self._show_words(shown)
        self.query_one(AurocTable).show(shown.view, val_intervals(shown, self._figures))
        self._show_curves(shown)

    def _look_anew(self, shown: OpenSession) -> None:
        """Check at once for another session, and if a run has started or ended."""
        is_read = shown.source.past.share_read is None
        if not is_read:
            self.set_timer(LOOK_AGAIN_SECONDS, self.refresh_view)  # no event reports it
        seen = (shown, shown.view.state, shown.view.writer, is_read)
        if seen == self._looked_at:
            return
        if self._looked_at[:1] != (shown,):
            self._cpu = None
        self._looked_at, self._liveness = seen, Liveness()
        self._look()

    def _show_words(self, shown: OpenSession) -> None:
        is_refused = shown.source.is_taken_away and shown.view.state == "failed"
        liveness = Liveness() if is_refused else self._liveness  # it is known to be gone
        view, width = shown.view, self.size.width
        head = training_text.head(shown.name, view, liveness, shown.source.past.share_read, width)
        notice = Text()
        if is_refused:
            notice = training_text.refused(view)
        elif shown.source.past.share_read is None:  # a partly read session is not its current state
            notice = training_text.notice(shown.name, shown.session.path, view, liveness, width)
        self.query_one("#head", Static).update(head, layout=False)
        self._show_foot(shown, liveness)
        self._replace("#notice", hanging(notice, self.app.console, width))
        self._replace("#device", Text(liveness.device))
        unasked = training_text.unasked(view, shown.source.past.share_read)
        self.query_one(HealthPanel).show(list(view.health.values()), unasked)
        self._replace("#log", training_text.messages(view))

    def _show_foot(self, shown: OpenSession, liveness: Liveness) -> None:
        view = shown.view
        foot = training_text.foot(
            view,
            liveness,
            self.size.width,
            ascii_only=self.console.ascii_only,
            since_event=time.monotonic() - view.last_event_at,
        )
        self.query_one("#foot", Static).update(foot, layout=False)

    def _tick(self) -> None:
        """Time passes between events too: while a network is loaded, or images are read."""
        shown = self.workspace.shown
        if shown is not None and shown.is_on and self.is_current:
            self._show_foot(shown, self._liveness)

    def _replace(self, part: str, content: Text) -> None:
        """Update only if it differs: an update causes a new layout."""
        if self._parts.get(part) != content:
            self._parts[part] = content
            widget = self.query_one(part, Static)
            widget.update(content)
            widget.display = bool(content.plain)

    def _show_curves(self, shown: OpenSession) -> None:
        """Draw what changed; new steps alone at most about once a second."""
        view = shown.view
        settings = (id(shown), self._curve, self._log_scale, self._smooth, self.size)
        marks = (*settings, view.state, view.stage, len(view.epochs_done))
        passed = time.monotonic() - self._drawn_at
        if marks == self._drawn and passed < DRAW_SECONDS:
            if not self._will_draw:
                self._will_draw = True
                self.set_timer(DRAW_SECONDS - passed, self._draw_later)
            return
        self._drawn, self._drawn_at = marks, time.monotonic()
        for part, curve in (("#first", self._curve), ("#second", beside(self._curve))):
            chart = self._chart(shown, curve)
            titles = curve_titles(
                curve, chart, smooth=self._smooth, ascii_only=self.console.ascii_only
            )
            self.query_one(part, TitledChart).show(titles, chart)

    def _draw_later(self) -> None:
        self._will_draw = False
        if self.workspace.shown is not None:
            self._show_curves(self.workspace.shown)

    def _chart(self, shown: OpenSession, curve: str) -> Chart:
        empty = training_text.waiting_words(shown.view, shown.source.past.share_read)
        return curve_chart(
            curve, shown.view, log_scale=self._log_scale, smooth=self._smooth, empty=empty
        )

    def _look(self) -> None:
        shown = self.workspace.shown
        if shown is None or not self.is_current or shown.source.past.share_read is not None:
            return
        view = shown.view
        is_open = view.state in ("running", "paused")
        device = view.model.device if view.model else ""
        look = LivenessLook(shown.session, shown.is_ours, is_open, view.writer, device)
        self._look_at_liveness(shown, look, self._cpu)

    @work(thread=True, exclusive=True, group="look", description="look at the session's device")
    def _look_at_liveness(
        self, shown: OpenSession, look: LivenessLook, before: CpuTime | None
    ) -> None:
        self.post_message(self.Looked(shown, *look.look(before)))

    def on_training_screen_looked(self, message: Looked) -> None:
        """Show it, if the session is still the one shown."""
        if message.shown is self.workspace.shown:
            self._liveness, self._cpu = message.liveness, message.cpu
            message.shown.is_dead = message.liveness.state in (INTERRUPTED, GONE)
            self.show_running()
            self.refresh_view()

    def action_curve(self, by: int) -> None:
        """The next curve, or the one before."""
        self._curve = CURVES[(CURVES.index(self._curve) + by) % len(CURVES)]
        self.refresh_view()

    def action_log_scale(self) -> None:
        """Logarithmic or linear."""
        self._log_scale = not self._log_scale
        self.refresh_view()

    def action_smooth(self) -> None:
        """Mean over neighbouring steps, or raw values."""
        self._smooth = not self._smooth
        self.refresh_view()

    def action_large(self) -> None:
        """The chart alone."""
        self.toggle_class("chart-large")

    def action_toggle_log(self) -> None:
        """Show messages instead of the table, if both don't fit."""
        self.toggle_class("messages-first")
        self._focus_words_or_table()

    def _focus_words_or_table(self) -> None:
        words = self.has_class("messages-first")
        self.query_one("#messages" if words else "#aurocs").focus()

    def action_health(self) -> None:
        """Show every diagnosis in full."""
        shown = self.workspace.shown
        if shown is not None:
            show_health(self.console, shown)

    def action_order(self) -> None:
        """Sort the table by the next column."""
        self.query_one(AurocTable).next_order()
        self.refresh_view()

    def step_out(self) -> bool:
        """First shrink a large chart, and swap messages for the table."""
        was_other = self.has_class("chart-large") or self.has_class("messages-first")
        self.remove_class("chart-large", "messages-first")
        if was_other:
            self._focus_words_or_table()
        return was_other

    def action_export(self) -> None:
        """Export the curve as a picture and as numbers to the session's directory."""
        shown = self.workspace.shown
        if shown is not None:
            chart = self._chart(shown, self._curve)
            title = export_title(self._curve, chart, smooth=self._smooth)
            self._export(ChartExport(shown.session.path, self._curve, title, chart))

    @work(thread=True, group="export", description="export the chart")
    def _export(self, export: ChartExport) -> None:
        self.console.say(export.write())

    def on_part_figures_known(self) -> None:
        """The table now has a column of intervals."""
        self.refresh_view()
