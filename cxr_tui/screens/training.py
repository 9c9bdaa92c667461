"""4 Training: is it learning, how far is it, what does it say."""

from __future__ import annotations

import csv
import math
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from cxr_tui.plain import duration, visible
from cxr_tui.run_view import RunView
from cxr_tui.screens.base import ConsoleScreen
from cxr_tui.screens.sessions import MARKS
from cxr_tui.widgets.auroc_table import AurocTable
from cxr_tui.widgets.line_chart import Chart, Line, LineChart

CURVES = ("loss", "AUROC", "learning rate")
_SMOOTH_OVER = 15

_NOTHING_SHOWN = """
   No session is shown.

   1           choose one
   1, n        train on the synthetic set
   3, S        start the recipe at hand
"""


class TrainingScreen(ConsoleScreen):
    """Curves, the AUROC of each finding, what the run says, how far it is."""

    MODE = "training"
    CSS_PATH = "training.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "app.pause", "pause", id="training.pause"),
        Binding("X", "app.stop", "stop", id="training.stop"),
        Binding("comma", "curve(-1)", "previous curve", id="training.previous", show=False),
        Binding("full_stop", "curve(1)", "curve", id="training.next", key_display=", ."),
        Binding("l", "log_scale", "log scale", id="training.log"),
        Binding("m", "smooth", "smooth", id="training.smooth"),
        Binding("z", "large", "large", id="training.large"),
        Binding("v", "toggle_log", "log", id="training.messages"),
        Binding("o", "order", "order", id="training.order", show=False),
        Binding("e", "export", "export", id="training.export"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._curve = CURVES[0]
        self._log_scale = False
        self._smooth = False

    def compose_parts(self) -> ComposeResult:
        """Head, chart, table beside messages, foot."""
        ascii_only = self.console.ascii_only
        yield Static(id="head", classes="head")
        yield Static(_NOTHING_SHOWN, id="nothing")
        with Vertical(id="shown"):
            yield LineChart(ascii_only=ascii_only, id="chart")
            with Horizontal(id="below"):
                yield AurocTable(ascii_only=ascii_only, id="aurocs")
                with VerticalScroll(id="messages"):
                    yield Static(id="log")
            yield Static(id="foot")

    def refresh_view(self) -> None:
        """Show what is new of the session shown."""
        shown = self.desk.shown
        self.query_one("#nothing").display = shown is None
        self.query_one("#shown").display = shown is not None
        if shown is None:
            self.query_one("#head", Static).update("")
            return
        view = shown.view
        self.query_one("#head", Static).update(_head(shown.name, view))
        self.query_one("#foot", Static).update(_foot(view, self.size.width))
        self.query_one(AurocTable).show(view)
        self.query_one(LineChart).show(self._chart(view))
        self.query_one("#log", Static).update(_log(view))

    def on_resize(self) -> None:
        """The foot's bar depends on the width."""
        self.refresh_view()

    def _chart(self, view: RunView) -> Chart:
        per_epoch = max(1, view.steps_per_epoch)
        epochs = sorted(view.epochs_done)
        if self._curve == "learning rate":
            lines = (
                Line(
                    "learning rate",
                    [step / per_epoch for step in view.series.step],
                    tuple(view.series.learning_rate),
                    "blue",
                ),
            )
            return Chart(
                lines, log_scale=self._log_scale, x_limits=_epochs_shown(view), whole_x=True
            )
        if self._curve == "AUROC":
            means = [view.epochs_done[epoch].mean_auroc for epoch in epochs]
            ys = tuple(math.nan if value is None else value for value in means)
            line = Line("mean val AUROC", tuple(epochs), ys, "orange")
            return Chart(
                (line,),
                x_limits=_epochs_shown(view),
                whole_x=True,
                level=0.5,
                level_label="chance 0.5",
                empty="AUROC comes with the first epoch",
            )
        losses = view.series.train_loss
        train = Line(
            "train",
            tuple(step / per_epoch for step in view.series.step),
            tuple(_smoothed(losses) if self._smooth else losses),
            "blue",
        )
        val = Line(
            "val",
            tuple(float(epoch) for epoch in epochs),
            tuple(view.epochs_done[epoch].val_loss for epoch in epochs),
            "orange",
            dots=True,
        )
        base = view.base_rate_loss
        label = "" if base is None else f"base rate {base:.3f}"
        return Chart(
            (train, val),
            x_limits=_epochs_shown(view),
            whole_x=True,
            log_scale=self._log_scale,
            level=base,
            level_label=label,
            empty="the first step takes a moment",
        )

    def action_curve(self, by: int) -> None:
        """The next curve, or the one before."""
        self._curve = CURVES[(CURVES.index(self._curve) + by) % len(CURVES)]
        self.query_one("#chart").border_title = self._curve
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
        self.query_one("#below").display = not self.query_one("#below").display

    def action_toggle_log(self) -> None:
        """Messages in place of the table, where there is no room for both."""
        self.toggle_class("messages-first")

    def action_order(self) -> None:
        """Sort the table by the next column."""
        self.console.say(f"ordered by {self.query_one(AurocTable).next_order()}")
        self.refresh_view()

    def step_out(self) -> bool:
        """A large chart becomes small again first."""
        if self.query_one("#below").display:
            return False
        self.query_one("#below").display = True
        return True

    def action_export(self) -> None:
        """The curve's numbers as CSV, in the session's directory."""
        shown = self.desk.shown
        if shown is None:
            return
        chart = self._chart(shown.view)
        path = shown.session.path / f"curve-{self._curve.replace(' ', '-')}.csv"
        try:
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["line", "epoch", "value"])
                for line in chart.lines:
                    writer.writerows(
                        [line.label, x, y] for x, y in zip(line.xs, line.ys, strict=True)
                    )
        except OSError as error:
            self.console.say(f"{path} can't be written ({error.strerror})")
            return
        self.console.say(f"written: {path}")


def _epochs_shown(view: RunView) -> tuple[float, float]:
    """From 0 to the end of the epoch under way."""
    return 0.0, float(max(1, view.epoch, *view.epochs_done))


def _head(name: str, view: RunView) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {visible(name)}", style="bold")
    text.append(f" · {MARKS.get(view.state, '')} {view.state}")
    if view.stage and view.stage != "training":
        text.append(f" · {visible(view.stage)}")
        if view.stage_total:
            text.append(f" {view.stage_done:,} of {view.stage_total:,}")
    if view.epoch:
        text.append(f" · epoch {view.epoch} of {view.epochs}")
    if view.stage == "training" and view.steps_per_epoch:
        text.append(f" · step {view.step_in_epoch:,} of {view.steps_per_epoch:,}")
    if view.images_per_second:
        text.append(f" · {view.images_per_second:,.0f} images/s")
    if view.message:
        text.append(f" · {visible(view.message)}")
    return text


def _foot(view: RunView, width: int) -> Text:
    share = view.share_done()
    parts = []
    if share is not None and view.state in ("running", "paused"):
        bar_width = max(8, min(40, width - 56))
        done = round(share * bar_width)
        parts.append(f"{'━' * done}{'╌' * (bar_width - done)} run {100 * share:.0f} %")
    if view.started and view.updated > view.started:
        parts.append(f"{duration(view.updated - view.started)} passed")
    left = view.seconds_left()
    if left is not None and view.state == "running":
        parts.append(f"{duration(left)} left")
    return Text(" " + "   ".join(parts), no_wrap=True, overflow="ellipsis")


def _log(view: RunView) -> Text:
    text = Text()
    for warning in view.warnings[-5:]:
        text.append(f"▲ {visible(warning)}\n", style="bold")
    for seconds, line in reversed(view.log[-100:]):
        clock = datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
        text.append(f"{clock} ", style="dim")
        text.append(f"{visible(line)}\n")
    return text


def _smoothed(values: list[float]) -> list[float]:
    """Mean over the last steps; values that are not finite stay gaps."""
    smoothed = []
    for end in range(1, len(values) + 1):
        window = [v for v in values[max(0, end - _SMOOTH_OVER) : end] if math.isfinite(v)]
        at_hand = values[end - 1]
        smoothed.append(sum(window) / len(window) if math.isfinite(at_hand) else at_hand)
    return smoothed
