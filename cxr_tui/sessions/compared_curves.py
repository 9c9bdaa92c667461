"""The curves of several sessions over each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.line_chart import Chart, Line

if TYPE_CHECKING:
    from core.events import EpochDone

VAL_AUROC, VAL_LOSS, TRAIN_LOSS = "mean val AUROC", "val loss", "train loss"
CURVES = (VAL_AUROC, VAL_LOSS, TRAIN_LOSS)
AXES = ("epoch", "step", "minutes")

_SIGNS = "123456789"
_COLOURS = ("#3a8fcc", "#d07a00", "#009e73", "#cc79a7", "#8a8a8a", "#b0a000")
"""Okabe and Ito's, as dark as blue and orange of other charts; digits tell lines apart too."""


@dataclass(frozen=True)
class Compared:
    """A session, with the epochs that its run has done."""

    name: str
    epochs: tuple[EpochDone, ...]


def curves_chart(compared: Sequence[Compared], curve: str, axis: str) -> Chart:
    """One curve of each session, drawn with the session's digit."""
    lines = tuple(
        Line(
            one.name,
            _along(one.epochs, axis),
            tuple(_value(epoch, curve) for epoch in one.epochs),
            _COLOURS[place % len(_COLOURS)],
            marker=_SIGNS[place % len(_SIGNS)],
        )
        for place, one in enumerate(compared)
    )
    ends = [line.xs[-1] for line in lines if line.xs]
    return Chart(
        lines,
        x_limits=(0.0, max([1.0, *ends])),
        whole_x=axis != "minutes",
        empty="none of them has ended an epoch",
        across=axis,
        up=curve,
    )


def curves_titles(compared: Sequence[Compared], curve: str, axis: str) -> tuple[str, ...]:
    """What is drawn, with the digits' meaning where there is room; the longest first."""
    over = f"{curve} over {axis}s" if axis != "minutes" else f"{curve} over minutes"
    legend = "  ".join(
        f"{sign} {visible(one.name)}" for sign, one in zip(_SIGNS, compared, strict=False)
    )
    return f"{over}   {legend}", over, curve


def _along(epochs: Sequence[EpochDone], axis: str) -> tuple[float, ...]:
    if axis == "epoch":
        return tuple(float(one.epoch) for one in epochs)
    if axis == "step":
        return tuple(float(one.step) for one in epochs)
    return tuple(accumulate(one.seconds / 60 for one in epochs))


def _value(epoch: EpochDone, curve: str) -> float:
    if curve == VAL_LOSS:
        return epoch.val_loss
    if curve == TRAIN_LOSS:
        return epoch.train_loss
    return math.nan if epoch.mean_auroc is None else epoch.mean_auroc
