"""What a search found: its trials, the best one trained anew, and which keys mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import TypedDict

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.evaluation.confidence import t_quantile
from core.evaluation.finding_report import rounded, rounded_interval
from core.recipe import Recipe
from core.search.judging import epochs_trained, val_auroc
from core.search.space import Value
from core.search.study import Search
from core.store.files import is_file
from core.store.sessions import open_session

_ENOUGH = 4
"""Fewer complete trials say nothing of which key mattered."""

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
}
"""Optuna's states, as we call them."""


class TrialRow(TypedDict):
    """One trial: its state, val AUROC (None unless complete), epochs, reason and values."""

    number: int
    session: str
    state: str
    val_auroc: float | None
    epochs: int
    why: str
    values: dict[str, Value]


class SeedRow(TypedDict):
    """A retrained session."""

    session: str
    seed: int
    val_auroc: float | None


class SearchReport(TypedDict):
    """What ``cxr-tui search --json`` prints.

    ``optimism`` is the best trial's val AUROC minus the mean of the same recipe's other seeds;
    ``gain`` is that mean minus the mean of the recipe that the search began with, same seeds;
    None if the best trial is that recipe. ``gain_ci`` is its 95 % interval over seeds, paired:
    mean ± t · SD / √k with k − 1 degrees of freedom.
    """

    name: str
    trials: list[TrialRow]
    best: TrialRow | None
    retrained: list[SeedRow]
    retrained_mean: float | None
    retrained_sd: float | None
    optimism: float | None
    unchanged: list[SeedRow]
    unchanged_mean: float | None
    gain: float | None
    gain_ci: list[float] | None
    pruned_share_of_epochs: float | None
    importance: dict[str, float]


def search_report(
    search: Search, retrained: Sequence[Recipe] = (), unchanged: Sequence[Recipe] = ()
) -> SearchReport:
    """Put a search in figures.

    Args:
        retrained: recipes of the best trial with other seeds, named like their sessions.
        unchanged: the search's own recipe with the same seeds.
    """
    sessions = search.place.path.parent.parent
    rows = [_row(search, trial) for trial in search.trials()]
    best = best_trial(search)
    best_row = None if best is None else _row(search, best)
    again, before = _seeds(retrained, sessions), _seeds(unchanged, sessions)
    again_mean, before_mean = _mean(again), _mean(before)
    epochs = sum(row["epochs"] for row in rows)
    pruned = sum(row["epochs"] for row in rows if row["state"] == "pruned")
    figures = [row["val_auroc"] for row in again if row["val_auroc"] is not None]
    return {
        "name": search.name,
        "trials": rows,
        "best": best_row,
        "retrained": again,
        "retrained_mean": rounded(again_mean),
        "retrained_sd": rounded(stdev(figures)) if len(figures) > 1 else None,
        "optimism": rounded(_less(None if best is None else best.value, again_mean)),
        "unchanged": before,
        "unchanged_mean": rounded(before_mean),
        "gain": rounded(_less(again_mean, before_mean)),
        "gain_ci": _paired_interval(again, before),
        "pruned_share_of_epochs": rounded(pruned / epochs) if epochs else None,
        "importance": importance(search.study, search.trials()),
    }


def best_trial(search: Search) -> FrozenTrial | None:
    """The complete trial with the highest val AUROC; the first of equals."""
    complete = [one for one in search.trials() if one.state is TrialState.COMPLETE]
    return max(complete, key=lambda one: (one.value or 0.0, -one.number), default=None)


def importance(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Key -> its share of the variance of val AUROC over complete trials, the largest first.

    By functional ANOVA of a forest (Hutter et al. 2014); {} for fewer than four trials or where all
    are equal.
    """
    complete = [one for one in trials if one.state is TrialState.COMPLETE]
    if len(complete) < _ENOUGH or len({one.value for one in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        found: Mapping[str, float] = optuna.importance.get_param_importances(
            study, evaluator=evaluator
        )
    except RuntimeError:  # no tree of the forest has any variance
        return {}
    return {key: round(float(share), 3) for key, share in found.items()}


def _row(search: Search, trial: FrozenTrial) -> TrialRow:
    session = search.session_of(trial)
    steps = trial.intermediate_values
    here = epochs_trained(session) if is_file(session.events_path) else 0
    return {
        "number": trial.number,
        "session": session.name,
        "state": STATES[trial.state],
        "val_auroc": rounded(trial.value) if trial.state is TrialState.COMPLETE else None,
        "epochs": here or max(steps, default=0),
        "why": str(trial.user_attrs.get("why", "")),
        "values": dict(trial.params),
    }


def _seeds(recipes: Sequence[Recipe], sessions: Path) -> list[SeedRow]:
    found: list[SeedRow] = []
    for recipe in recipes:
        value = val_auroc(open_session(recipe.name, sessions))
        found.append(
            {"session": recipe.name, "seed": recipe.train.seed, "val_auroc": rounded(value)}
        )
    return found


def _mean(rows: Sequence[SeedRow]) -> float | None:
    values = [row["val_auroc"] for row in rows if row["val_auroc"] is not None]
    return mean(values) if values and len(values) == len(rows) else None


def _paired_interval(again: Sequence[SeedRow], before: Sequence[SeedRow]) -> list[float] | None:
    if len(again) != len(before):  # the best trial is the recipe itself
        return None
    gains = [
        one["val_auroc"] - other["val_auroc"]
        for one, other in zip(again, before, strict=True)
        if one["val_auroc"] is not None and other["val_auroc"] is not None
    ]
    if len(gains) < 2 or len(gains) < len(again):
        return None
    half = t_quantile(len(gains) - 1) * stdev(gains) / sqrt(len(gains))
    return rounded_interval((mean(gains) - half, mean(gains) + half))


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
