"""The decision curve of one finding: what acting on its probabilities is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from core.document.figures.drawing import BLUE, FAINT, INK
from core.document.values import interval, number, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_HIGHEST = 0.5
"""Nobody who looks for a finding waits for more than an even chance of it."""


def draw_decision(axes: Axes, curve: Mapping[str, Any]) -> None:
    """Net benefit by threshold beside acting on all and on none; hidden without a curve."""
    from matplotlib.ticker import MaxNLocator

    thresholds = [number(one) for one in rows(curve.get("thresholds"))]
    model, everyone = (
        np.array([np.nan if (value := number(one)) is None else value for one in rows(values)])
        for values in (curve.get("net_benefit"), curve.get("treat_all"))
    )
    if not thresholds or not len(thresholds) == len(model) == len(everyone):
        axes.set_visible(False)
        return
    at_T = np.array(thresholds, dtype=np.float64)
    shown_T = at_T <= _HIGHEST
    ends = [interval(one) or (np.nan, np.nan) for one in rows(curve.get("net_benefit_ci"))]
    if len(ends) == len(at_T):
        low_T, high_T = np.array(ends).T
        axes.fill_between(at_T, low_T, high_T, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(at_T, everyone, color=FAINT, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.plot(at_T, model, color=BLUE)
    highest = float(np.nanmax([*model[shown_T], *everyone[shown_T], 0.001]))
    axes.set(xlim=(0, _HIGHEST), ylim=(-0.25 * highest, 1.25 * highest))
    axes.set_xticks([0, 0.25, 0.5], ["0", "0.25", "0.5"])
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.set_box_aspect(1)
    axes.set(xlabel="threshold", ylabel="net benefit", title="Decision curve")
