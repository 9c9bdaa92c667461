"""Sessions over each other: their AUROC with intervals, and their curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.document.blocks import Chart
from core.document.facts import Facts
from core.document.figures.drawing import PALETTE, new_figure, styled, svg_of
from core.document.plain_text import printable
from core.document.values import interval, number, table

_MOST = len(PALETTE)


def auroc_together(read: Sequence[Facts], name: str) -> Chart | None:
    """AUROC of each finding, a mark for each session; None if no finding is shared."""
    findings = [one for one in read[0].findings if all(one in facts.findings for facts in read)]
    if not findings:
        return None
    shown = read[:_MOST]
    step = 0.7 / len(shown)
    with styled():
        figure = new_figure(0.9 + (0.12 + 0.13 * len(shown)) * (len(findings) + 1))
        axes = figure.subplots()
        for place, facts in enumerate(shown):
            of_findings = table(facts.report.get("findings"))
            rows = [table(of_findings.get(finding)) for finding in findings]
            values = [(number(row.get("auroc")), interval(row.get("auroc_ci"))) for row in rows]
            values.append(
                (
                    number(facts.report.get("mean_auroc")),
                    interval(facts.report.get("mean_auroc_ci")),
                )
            )
            for line, (value, around) in enumerate(values):
                height = line + (place - (len(shown) - 1) / 2) * step
                if around is not None:
                    axes.plot(around, (height, height), color=PALETTE[place], linewidth=1.3)
                if value is not None:
                    label = printable(facts.name) if line == 0 else None
                    axes.plot(value, height, "s", color=PALETTE[place], markersize=3.6, label=label)
        axes.set_yticks(range(len(findings) + 1), [*map(printable, findings), "mean"])
        axes.set(ylim=(len(findings) + 0.6, -0.6), xlabel="AUROC on test")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=min(3, len(shown)), fontsize=7)
        svg = svg_of(figure, name)
    caption = (
        "AUROC of each session with its own 95 % interval. Intervals that overlap say little: "
        "sessions share their patients, so the difference's own interval above is what counts."
    )
    return Chart(svg, caption, "AUROC of each finding and session")


def curves_together(read: Sequence[Facts], name: str) -> Chart | None:
    """Val loss and mean val AUROC of all sessions by epoch; None if no epoch was finished."""
    shown = [facts for facts in read if facts.history.epochs][:_MOST]
    if not shown:
        return None
    with styled():
        figure = new_figure(2.8)
        losses, auroc = figure.subplots(1, 2)
        for place, facts in enumerate(shown):
            epochs = [epoch for _, epoch in sorted(facts.history.epochs.items())]
            numbers = [epoch.epoch for epoch in epochs]
            colour = PALETTE[place]
            losses.plot(numbers, [epoch.train_loss for epoch in epochs], color=colour,
                        linewidth=0.8, linestyle=(0, (3, 2)))  # fmt: skip
            losses.plot(numbers, [epoch.val_loss for epoch in epochs], color=colour, marker="o",
                        markersize=2.5, label=printable(facts.name))  # fmt: skip
            means = [math.nan if epoch.mean_auroc is None else epoch.mean_auroc for epoch in epochs]
            auroc.plot(numbers, means, color=colour, marker="o", markersize=2.5)
        losses.set(xlabel="epoch", title="Loss", ylim=(0, None))
        auroc.set(xlabel="epoch", title="Mean AUROC on val")
        for axes in (losses, auroc):
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(loc="outside upper left", ncols=min(3, len(shown)), fontsize=7)
        svg = svg_of(figure, name)
    caption = "Loss by epoch: on val (lines with dots) and train (dashed). Mean AUROC on val."
    return Chart(svg, caption, "Loss and AUROC of all sessions by epoch")
