"""What a search found: its trials, the best ones trained anew, and which keys mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from core.search.space import Value, with_values
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


class Candidate(TypedDict):
    """One of the best trials, with the same recipe's other seeds.

    ``optimism`` is the trial's val AUROC minus the mean of the other seeds: the trial was chosen
    for its figure, and the seeds were not.
    """

    number: int
    session: str
    val_auroc: float | None
    retrained: list[SeedRow]
    retrained_mean: float | None
    retrained_sd: float | None
    optimism: float | None


class SearchReport(TypedDict):
    """What ``cxr-tui search --json`` prints.

    ``candidates`` are the best trials by their own figures, the best first. ``best`` is the one of
    them with the highest mean over its other seeds (without any: the first), and ``retrained`` to
    ``optimism`` are that one's. ``unchanged`` is the recipe that the search began with, same seeds.
    ``gain`` is the best one's mean minus that recipe's; None if the best one is that recipe.
    ``gain_ci`` is its 95 % interval over seeds, paired: mean ± t · SD / √k with k − 1 degrees of
    freedom.
    """

    name: str
    trials: list[TrialRow]
    best: TrialRow | None
    candidates: list[Candidate]
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


@dataclass(frozen=True)
class Retrained:
    """What is trained at the end of a search, named like its sessions.

    Attributes:
        candidates: trial's number -> its recipe with seeds of its own, the best trial first.
        unchanged: the search's own recipe with the same seeds, unless a candidate is that.
        own: the number of the candidate that is the search's own recipe, if one is.
    """

    candidates: Mapping[int, Sequence[Recipe]] = field(default_factory=dict)
    unchanged: Sequence[Recipe] = ()
    own: int | None = None

    @property
    def recipes(self) -> list[Recipe]:
        """All of them, in the order in which they are trained."""
        return [*(one for seeds in self.candidates.values() for one in seeds), *self.unchanged]


def to_retrain(search: Search, count: int, seeds: int) -> Retrained:
    """The recipes of so many of the best trials, each with so many seeds of its own."""
    first = search.recipe.train.seed + 1
    drawn = range(first, first + seeds)

    def anew(recipe: Recipe, kind: str) -> list[Recipe]:
        named: list[dict[str, Value]] = [
            {"train.seed": seed, "name": f"{search.name}-{kind}-seed{seed}"} for seed in drawn
        ]
        return [with_values(recipe, values, f"seed {values['train.seed']}") for values in named]

    chosen = {trial.number: search.recipe_of(trial) for trial in best_trials(search, count)}
    candidates = {number: anew(one, f"best-{number:02d}") for number, one in chosen.items()}
    own = next(
        (
            number
            for number, one in chosen.items()
            if one.model_copy(update={"name": search.recipe.name}) == search.recipe
        ),
        None,
    )
    # Where the best trial is the recipe itself, nothing is left to compare it with.
    unchanged = anew(search.recipe, "unchanged") if chosen and own is None else []
    return Retrained(candidates, unchanged, own)


def search_report(search: Search, retrained: Retrained) -> SearchReport:
    """Put a search in figures, after what is to be retrained was trained."""
    sessions = search.place.path.parent.parent
    trials = {one.number: one for one in search.trials()}
    rows = [_row(search, trial) for trial in trials.values()]
    candidates = [
        _candidate(search, trials[number], _seeds(recipes, sessions))
        for number, recipes in retrained.candidates.items()
    ]
    best = max(candidates, key=_by_other_seeds, default=None)
    again = best["retrained"] if best is not None else []
    before = _seeds(retrained.unchanged, sessions)
    if retrained.own is not None:
        before = next(one["retrained"] for one in candidates if one["number"] == retrained.own)
    is_own = best is not None and best["number"] == retrained.own
    before = [] if is_own else before
    before_mean = _mean(before)
    again_mean = best["retrained_mean"] if best is not None else None
    epochs = sum(row["epochs"] for row in rows)
    pruned = sum(row["epochs"] for row in rows if row["state"] == "pruned")
    return {
        "name": search.name,
        "trials": rows,
        "best": None if best is None else _row(search, trials[best["number"]]),
        "candidates": candidates,
        "retrained": again,
        "retrained_mean": again_mean,
        "retrained_sd": None if best is None else best["retrained_sd"],
        "optimism": None if best is None else best["optimism"],
        "unchanged": before,
        "unchanged_mean": rounded(before_mean),
        "gain": rounded(_less(_mean(again), before_mean)),
        "gain_ci": _paired_interval(again, before),
        "pruned_share_of_epochs": rounded(pruned / epochs) if epochs else None,
        "importance": importance(search.study, search.trials()),
    }


def best_trials(search: Search, count: int) -> list[FrozenTrial]:
    """So many complete trials with the highest val AUROC; of equals the first."""
    complete = [one for one in search.trials() if one.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda one: (-(one.value or 0.0), one.number))[:count]


def _candidate(search: Search, trial: FrozenTrial, seeds: list[SeedRow]) -> Candidate:
    figures = [one["val_auroc"] for one in seeds if one["val_auroc"] is not None]
    again = _mean(seeds)
    return {
        "number": trial.number,
        "session": search.session_of(trial).name,
        "val_auroc": rounded(trial.value),
        "retrained": seeds,
        "retrained_mean": rounded(again),
        "retrained_sd": rounded(stdev(figures)) if len(figures) > 1 else None,
        "optimism": rounded(_less(trial.value, again)),
    }


def _by_other_seeds(one: Candidate) -> float:
    """The first of equals wins, and so where nothing was retrained."""
    return -1.0 if one["retrained_mean"] is None else one["retrained_mean"]


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
