"""The curves of a run, each as a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cxr_tui.runs.run_view import RunView
from cxr_tui.widgets.line_chart import Chart, Line

LOSS, AUROC, RATE = "loss", "AUROC", "learning rate"
CURVES = (LOSS, AUROC, RATE)

_SMOOTH_OVER = 15


def curve_chart(curve: str, view: RunView, *, log_scale: bool, smooth: bool, empty: str) -> Chart:
    """The curve over epochs; ``empty`` is shown before the first point."""
    if curve == AUROC:
        return _auroc_chart(view, empty)
    if curve == RATE:
        return _rate_chart(view, log_scale, empty)
    return _loss_chart(view, log_scale, smooth, empty)


def beside(curve: str) -> str:
    """The curve shown next to it if two fit."""
    return LOSS if curve == AUROC else AUROC


def curve_titles(curve: str, chart: Chart, *, smooth: bool, ascii_only: bool) -> tuple[str, ...]:
    """What is drawn and how, the longest wording first."""
    marks = {True: "x", False: "-"} if ascii_only else {True: "•", False: "─"}
    legend = "  ".join(f"{marks[line.dots]} {line.label}" for line in chart.lines)
    how = _drawn_how(curve, chart, smooth)
    lines = [legend] if len(chart.lines) > 1 else []
    long = "   ".join([f"{curve} over epochs", *lines, *how])
    short = "   ".join([curve, *lines, *(["log scale"] if chart.log_scale else [])])
    return long, short, curve


def export_title(curve: str, chart: Chart, *, smooth: bool) -> str:
    """Title of an exported chart: what it shows, and how it is drawn."""
    return ", ".join([curve, *_drawn_how(curve, chart, smooth)])


def _drawn_how(curve: str, chart: Chart, smooth: bool) -> list[str]:
    how = ["log scale"] if chart.log_scale else []
    if smooth and curve == LOSS:
        how.append(f"train as the mean of {_SMOOTH_OVER} records")
    return how


def _loss_chart(view: RunView, log_scale: bool, smooth: bool, empty: str) -> Chart:
    losses = view.series.train_loss
    epochs = sorted(view.epochs_done)
    train = Line(
        "train", _epochs_at_steps(view), tuple(_smoothed(losses) if smooth else losses), "blue"
    )
    val = Line(
        "val" if not view.val_is_weighted else "val (weighted)",
        tuple(float(epoch) for epoch in epochs),
        tuple(view.epochs_done[epoch].val_loss for epoch in epochs),
        "orange",
        dots=True,
    )
    base = view.base_rate_loss
    return Chart(
        (train, val),
        x_limits=_epochs_shown(view),
        whole_x=True,
        log_scale=log_scale,
        level=base,
        level_label="" if base is None else f"base rate {base:.3f}",
        empty=empty,
    )


def _auroc_chart(view: RunView, empty: str) -> Chart:
    epochs = sorted(view.epochs_done)
    means = [view.epochs_done[epoch].mean_auroc for epoch in epochs]
    line = Line(
        "mean val AUROC",
        tuple(float(epoch) for epoch in epochs),
        tuple(math.nan if value is None else value for value in means),
        "orange",
    )
    return Chart(
        (line,),
        x_limits=_epochs_shown(view),
        whole_x=True,
        level=0.5,
        level_label="chance 0.5",
        empty="AUROC comes with the first epoch" if view.series.step else empty,
    )


def _rate_chart(view: RunView, log_scale: bool, empty: str) -> Chart:
    line = Line("learning rate", _epochs_at_steps(view), tuple(view.series.learning_rate), "blue")
    return Chart(
        (line,), log_scale=log_scale, x_limits=_epochs_shown(view), whole_x=True, empty=empty
    )


def _epochs_at_steps(view: RunView) -> tuple[float, ...]:
    per_epoch = max(1, view.steps_per_epoch)
    return tuple(step / per_epoch for step in view.series.step)


def _epochs_shown(view: RunView) -> tuple[float, float]:
    """From 0 to the end of the current epoch."""
    return 0.0, float(max(1, view.epoch, *view.epochs_done))


def _smoothed(values: Sequence[float]) -> list[float]:
    """Mean over the last records; values that are not finite remain gaps."""
    smoothed = []
    for end in range(1, len(values) + 1):
        window = [v for v in values[max(0, end - _SMOOTH_OVER) : end] if math.isfinite(v)]
        at_hand = values[end - 1]
        smoothed.append(sum(window) / len(window) if math.isfinite(at_hand) else at_hand)
    return smoothed
