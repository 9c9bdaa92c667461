"""Loss and AUROC over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.document.blocks import Chart
from core.document.figures.drawing import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    PALETTE,
    new_figure,
    styled,
    svg_of,
)
from core.document.history import History
from core.document.plain_text import printable
from core.document.values import three
from core.events import EpochDone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 7


def training_chart(history: History, name: str) -> Chart | None:
    """Loss beside the base rate, and val AUROC of each finding; None without an epoch."""
    epochs = [epoch for _, epoch in sorted(history.epochs.items())]
    if not epochs:
        return None
    findings, best = list(epochs[-1].auroc), history.best
    with styled():
        figure = new_figure(2.7 if len(findings) <= _FEW else 3.4)
        losses, auroc = figure.subplots(1, 2, width_ratios=(1, 1.25))
        _draw_losses(losses, history, epochs)
        _draw_auroc(auroc, findings, epochs, best)
        svg = svg_of(figure, name)
    chosen = (
        f"epoch {best.epoch} was kept (dotted line)" if best is not None else "no epoch was best"
    )
    caption = (
        "Loss by step: the faint line is each record, the lines are means of epochs; the dashed "
        "line is the loss of the best constant prediction. AUROC on val by epoch: "
        f"{chosen}, mean {three(best.mean_auroc if best is not None else None)}."
    )
    return Chart(svg, caption, "Curves of loss by step and of AUROC on val by epoch")


def _draw_losses(losses: Axes, history: History, epochs: Sequence[EpochDone]) -> None:
    if history.steps:
        steps, values = zip(*history.steps, strict=True)
        losses.plot(steps, values, color=BLUE, alpha=0.25, linewidth=0.7)
    at = [epoch.step for epoch in epochs]
    losses.plot(at, [epoch.train_loss for epoch in epochs], color=BLUE, label="train")
    losses.plot(at, [epoch.val_loss for epoch in epochs], color=ORANGE, marker="o",
                markersize=3, label="val")  # fmt: skip
    base = history.model.base_rate_loss if history.model else None
    if base is not None and math.isfinite(base):
        losses.axhline(base, color=FAINT, linestyle=(0, (4, 3)), linewidth=0.9,
                       label="base rate")  # fmt: skip
    losses.set(xlabel="step", ylabel="loss", ylim=(0, None), title="Loss")
    losses.legend(loc="upper right")


def _draw_auroc(
    auroc: Axes, findings: Sequence[str], epochs: Sequence[EpochDone], best: EpochDone | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [epoch.epoch for epoch in epochs]
    for position, finding in enumerate(findings):
        auroc.plot(
            numbers,
            [_known(epoch.auroc.get(finding)) for epoch in epochs],
            color=PALETTE[position % len(PALETTE)],
            linewidth=1.0,
            marker="o",
            markersize=2,
            label=printable(finding),
        )
    means = [_known(epoch.mean_auroc) for epoch in epochs]
    auroc.plot(numbers, means, color=INK, linewidth=2, label="mean")
    if best is not None:
        auroc.axvline(best.epoch, color=FAINT, linestyle=(0, (1, 2)), linewidth=0.9)
    auroc.set(xlabel="epoch", title="AUROC on val")
    auroc.xaxis.set_major_locator(MaxNLocator(integer=True))
    auroc.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.3)


def _known(value: float | None) -> float:
    return math.nan if value is None else value
