"""4 Training: is it learning, how far is it, what does it say."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from cxr_tui.runs.device_use import CpuTime
from cxr_tui.runs.liveness import GONE, INTERRUPTED, Liveness, LivenessLook
from cxr_tui.runs.open_session import OpenSession
from cxr_tui.terminal.hanging import hanging
from cxr_tui.training import text as training_text
from cxr_tui.training.auroc_table import AurocTable
from cxr_tui.training.curves import CURVES, beside, curve_chart, curve_titles
from cxr_tui.training.health_dialog import show_health
from cxr_tui.training.val_intervals import ValIntervalsScreen
from cxr_tui.widgets.chart_export import ChartExport
from cxr_tui.widgets.health_panel import HealthPanel
from cxr_tui.widgets.line_chart import Chart
from cxr_tui.widgets.titled_chart import TitledChart

LOOK_SECONDS = 3.0
"""Between two looks at the session's files and its device."""

LOOK_AGAIN_SECONDS = 0.25
"""Between two looks at how far a session's file is read."""

DRAW_SECONDS = 0.9
"""Between two drawings of the curves, where only steps were added: drawing is what costs."""

_NOTHING_SHOWN = """
   No session is shown.

   1           choose one
   1, n        train on the synthetic set
   3, S        start the recipe at hand
"""


class TrainingScreen(ValIntervalsScreen):
    """Curves, the AUROC of each finding, what the run says, how far it is."""

    MODE = "training"
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (160, "-widest")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "app.pause", "pause", id="training.pause"),
        Binding("X", "app.stop", "stop", id="training.stop"),
        Binding("comma", "curve(-1)", "previous curve", id="training.previous", show=False),
        Binding("full_stop", "curve(1)", "curve", id="training.next", key_display=", ."),
        Binding("h", "health", "health", id="training.health"),
        Binding("z", "large", "large", id="training.large"),
        Binding("v", "toggle_log", "log", id="training.messages"),
        Binding("e", "export", "export", id="training.export"),
        Binding("l", "log_scale", "log scale", id="training.log"),
        Binding("o", "order", "order", id="training.order"),
        Binding("m", "smooth", "smooth", id="training.smooth"),
    ]

    class Looked(Message):
        """What a look at a session's files and device found."""

        def __init__(self, shown: OpenSession, liveness: Liveness, cpu: CpuTime | None) -> None:
            super().__init__()
            self.shown, self.liveness, self.cpu = shown, liveness, cpu

    class Exported(Message):
        """What came of an export."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__()
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
        """Head, curves, table beside messages, foot."""
        ascii_only = self.console.ascii_only
        yield Static(id="head", classes="head")
        yield Static(_NOTHING_SHOWN, id="nothing")
        with Vertical(id="shown"):
            yield Static(id="notice")
            with Horizontal(id="curves"):
                yield TitledChart(ascii_only=ascii_only, id="first")
                yield TitledChart(ascii_only=ascii_only, id="second")
            with Horizontal(id="below"):
                yield AurocTable(ascii_only=ascii_only, id="aurocs")
                with Vertical(id="beside"):
                    yield Static(id="device")
                    with VerticalScroll(id="messages"):
                        yield HealthPanel(ascii_only=ascii_only, id="health")
                        yield Static(id="log")
            yield Static(id="foot")

    def on_mount(self) -> None:
        """Look at what events don't say, every few seconds."""
        self.set_interval(LOOK_SECONDS, self._look)

    def on_screen_resume(self) -> None:
        """What changed meanwhile."""
        super().on_screen_resume()
        self._look()

    def on_resize(self) -> None:
        """The head and the bar depend on the width."""
        self.refresh_view()

    def refresh_view(self) -> None:
        """Show what is new of the session shown."""
        shown = self.workspace.shown
        self.query_one("#nothing").display = shown is None
        self.query_one("#shown").display = shown is not None
        if shown is None:
            self.query_one("#head", Static).update("")
            return
        self._look_anew(shown)
        self._show_words(shown)
        self.query_one(AurocTable).show(shown.view, self.val_intervals(shown))
        self._show_curves(shown)

    def _look_anew(self, shown: OpenSession) -> None:
        """At another session, and where a run has begun or ended, look at once."""
        is_read = _share_read(shown) is None
        if not is_read:
            self.set_timer(LOOK_AGAIN_SECONDS, self.refresh_view)  # no event tells that it is read
        seen = (shown, shown.view.state, shown.view.writer, is_read)
        if seen == self._looked_at:
            return
        if self._looked_at[:1] != (shown,):
            self._cpu = None
        self._looked_at, self._liveness = seen, Liveness()
        self._look()

    def _show_words(self, shown: OpenSession) -> None:
        is_refused = shown.is_taken_away and shown.view.state == "failed"
        liveness = Liveness() if is_refused else self._liveness  # that it is gone is no surprise
        view, width = shown.view, self.size.width
        head = training_text.head(shown.name, view, liveness, _share_read(shown), width)
        foot = training_text.foot(view, liveness, width, ascii_only=self.console.ascii_only)
        notice = Text()
        if is_refused:
            notice = training_text.refused(view)
        elif _share_read(shown) is None:  # what is read so far is not how it stands
            notice = training_text.notice(shown.name, shown.session.path, view, liveness, width)
        self.query_one("#head", Static).update(head, layout=False)
        self.query_one("#foot", Static).update(foot, layout=False)
        self._replace("#notice", hanging(notice, self.app.console, width))
        self._replace("#device", Text(liveness.device))
        unasked = training_text.unasked(view, _share_read(shown))
        self.query_one(HealthPanel).show(list(view.health.values()), unasked)
        self._replace("#log", training_text.messages(view))

    def _replace(self, part: str, content: Text) -> None:
        """Only where it differs: it makes the screen lay itself out anew."""
        if self._parts.get(part) != content:
            self._parts[part] = content
            widget = self.query_one(part, Static)
            widget.update(content)
            widget.display = bool(content.plain)

    def _show_curves(self, shown: OpenSession) -> None:
        """Draw what changed; mere steps at most about once a second."""
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
        empty = training_text.waiting_words(shown.view, _share_read(shown))
        return curve_chart(
            curve, shown.view, log_scale=self._log_scale, smooth=self._smooth, empty=empty
        )

    def _look(self) -> None:
        shown = self.workspace.shown
        if shown is None or not self.is_current or _share_read(shown) is not None:
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
        """Show it, where the session is still the one shown."""
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
        """Logarithmic or plain."""
        self._log_scale = not self._log_scale
        self.refresh_view()

    def action_smooth(self) -> None:
        """Mean over neighbouring steps, or each as it is."""
        self._smooth = not self._smooth
        self.refresh_view()

    def action_large(self) -> None:
        """The chart alone."""
        self.toggle_class("chart-large")

    def action_toggle_log(self) -> None:
        """Messages in place of the table, where there is no room for both."""
        self.toggle_class("messages-first")

    def action_health(self) -> None:
        """Every answer of the health checks in full."""
        shown = self.workspace.shown
        if shown is not None:
            show_health(self.console, shown)

    def action_order(self) -> None:
        """Sort the table by the next column."""
        self.query_one(AurocTable).next_order()
        self.refresh_view()

    def step_out(self) -> bool:
        """A large chart becomes small again first, and messages give the table its place back."""
        was_other = self.has_class("chart-large") or self.has_class("messages-first")
        self.remove_class("chart-large", "messages-first")
        return was_other

    def action_export(self) -> None:
        """The curve as a picture and as numbers, in the session's directory."""
        shown = self.workspace.shown
        if shown is not None:
            chart = self._chart(shown, self._curve)
            self._export(ChartExport(shown.session.path, self._curve, chart))

    @work(thread=True, group="export", description="export the chart")
    def _export(self, export: ChartExport) -> None:
        self.post_message(self.Exported(export.write()))

    def on_training_screen_exported(self, message: Exported) -> None:
        """Say where it is, or why it isn't."""
        self.console.say(message.text)


def _share_read(shown: OpenSession) -> float | None:
    return getattr(shown.source, "share_read", None)
