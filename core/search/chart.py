"""A search as a picture: every trial's curve on val, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from core.document.figures.drawing import BLUE, FAINT, ORANGE, new_figure, styled, svg_of
from core.search.study import Search
from core.store.files import write_whole

_HEIGHT_IN = 3.0


def write_chart(search: Search) -> Path:
    """Write ``search.svg`` into the search's folder: val AUROC by trial, and by epoch.

    Raises:
        OSError: the disk is full or fails.
    """
    trials = search.trials()
    with styled():
        figure = new_figure(_HEIGHT_IN)
        by_trial, by_epoch = figure.subplots(1, 2, sharey=True)
        ended = [one for one in trials if _last(one) is not None]
        for state, colour, told in (
            (TrialState.COMPLETE, BLUE, "complete"),
            (TrialState.PRUNED, FAINT, "pruned, at its last epoch"),
        ):
            of_state = [one for one in ended if one.state is state]
            by_trial.scatter(
                [one.number for one in of_state],
                [_last(one) or 0.0 for one in of_state],
                s=14,
                color=colour,
                label=told,
            )
            for one in of_state:
                curve = sorted(one.intermediate_values.items())
                epochs, values = [epoch for epoch, _ in curve], [value for _, value in curve]
                by_epoch.plot(epochs, values, color=colour, linewidth=0.8, marker=".", markersize=3)
        numbers, best = _best_so_far(ended)
        by_trial.step(numbers, best, where="post", color=ORANGE, label="best so far")
        by_trial.set(xlabel="trial", ylabel="mean AUROC on val", title="By trial")
        by_epoch.set(xlabel="epoch", title="By epoch")
        for axes in (by_trial, by_epoch):
            axes.xaxis.get_major_locator().set_params(integer=True)
        by_trial.legend()
        svg = svg_of(figure, "search")
    path = search.place.path / "search.svg"
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    write_whole(path, (head + svg).encode())
    return path


def _last(trial: FrozenTrial) -> float | None:
    """The figure by which it is compared, or the one at which it was pruned."""
    if trial.state is TrialState.COMPLETE:
        return trial.value
    step = trial.last_step
    return None if step is None else trial.intermediate_values[step]


def _best_so_far(trials: Sequence[FrozenTrial]) -> tuple[list[int], list[float]]:
    numbers: list[int] = []
    best: list[float] = []
    for one in trials:
        if one.state is TrialState.COMPLETE and one.value is not None:
            numbers.append(one.number)
            best.append(max(best[-1] if best else 0.0, one.value))
    return numbers, best
