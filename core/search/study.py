"""One search as an Optuna study: which trial is next, and how each ended."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from core.errors import RecipeError, UsageError
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import as_toml_values, differences, sealed_recipe
from core.search.place import SearchPlace, TrialLock
from core.search.space import Dimension, Space, Value, with_values
from core.store.session import Session

REDUCTION = 3
"""Of the trials that reach a rung, a third go on to the next, of three times the epochs."""

_ASKING_SECONDS = 60.0
"""Another host claims the trial that it asked for within milliseconds."""

_RECIPE, _SPACE, _LIMIT, _UNTIL = "recipe", "space", "trials", "until"
_PLACE, _SESSION, _WHY = "place", "session", "why"
_OPEN = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class TakenTrial:
    """A trial that this process alone works on, until ``release``.

    Attributes:
        trial: Optuna's, to report to.
        session: its name; trials are numbered from 00.
        recipe: what it trains.
        is_taken_over: whether another process had begun it.
        reported: epochs whose figure the study has already.
    """

    trial: Trial
    session: str
    recipe: Recipe
    is_taken_over: bool
    _lock: TrialLock
    reported: tuple[int, ...] = ()

    def release(self) -> None:
        """Let others take it, unless it has ended."""
        self._lock.release()

    @property
    def why_pruned(self) -> str:
        """Why it was pruned, if it was."""
        return str(self.trial.user_attrs.get(_WHY, ""))


@dataclass(frozen=True)
class Search:
    """A study with what it searches; see ``open_search``.

    Attributes:
        name: the study's; sessions are called NAME-trial-00.
        recipe: whose keys are changed; its test part is sealed.
        space: the keys.
        study: Optuna's.
        place: its folder here.
    """

    name: str
    recipe: Recipe
    space: Space
    study: optuna.Study
    place: SearchPlace

    def next_trial(self) -> TakenTrial | None:
        """Take one that a dead process left, else a new one; None once there are enough."""
        for left in self.running():
            is_ours = left.user_attrs.get(_PLACE) == self.place.key
            if is_ours and (taken := self._taken_over(left)) is not None:
                return taken
        with self.place.asking():
            self._drop_unclaimed()
            if self.is_over():
                return None
            return self._asked()

    def trials(self) -> list[FrozenTrial]:
        """All that were claimed, in order."""
        known = self.study.get_trials(deepcopy=False)
        return [one for one in known if _PLACE in one.user_attrs]

    def running(self) -> list[FrozenTrial]:
        """Those that somebody works on, or died on."""
        return [one for one in self.trials() if one.state in _OPEN]

    def is_over(self) -> bool:
        """Whether no further trial is to be asked for."""
        attrs = self.study.user_attrs
        until, limit = attrs.get(_UNTIL), attrs.get(_LIMIT)
        if until is not None and time.time() >= until:
            return True
        return limit is not None and len(self.trials()) >= limit

    def end(self, taken: TakenTrial, value: float | None, why: str = "") -> None:
        """Record its end: complete with a value, pruned, or failed if ``value`` is None."""
        if taken.why_pruned:
            self.study.tell(taken.trial, state=TrialState.PRUNED)
        elif value is None:
            taken.trial.set_user_attr(_WHY, why)
            self.study.tell(taken.trial, state=TrialState.FAIL)
        else:
            self.study.tell(taken.trial, value)

    def session_of(self, trial: FrozenTrial) -> Session:
        """Where it was trained, if that was here."""
        return Session(self.place.path.parent.parent / str(trial.user_attrs[_SESSION]))

    def recipe_of(self, trial: FrozenTrial) -> Recipe:
        """What it trains, with paths of this host."""
        return self._recipe(trial.number, trial.params)

    def _recipe(self, number: int, values: dict[str, Value]) -> Recipe:
        named = {"name": f"{self.name}-trial-{number:02d}"}
        return with_values(self.recipe, values | named, f"trial {number}")

    def _asked(self) -> TakenTrial | None:
        trial = self.study.ask()
        lock = self.place.take(trial.number)
        if lock is None:  # nobody else knows of it yet
            raise AssertionError(f"trial {trial.number} is locked")
        before = [one for one in self.trials() if one.number < trial.number]
        limit = self.study.user_attrs.get(_LIMIT)
        if limit is not None and len(before) >= limit:  # another host was faster
            lock.release()
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        recipe = self._recipe(trial.number, self._drawn(trial))
        trial.set_user_attr(_SESSION, recipe.name)
        trial.set_user_attr(_PLACE, self.place.key)
        return TakenTrial(trial, recipe.name, recipe, False, lock)

    def _taken_over(self, left: FrozenTrial) -> TakenTrial | None:
        lock = self.place.take(left.number)
        if lock is None:
            return None
        known = self.study.get_trials(deepcopy=False)
        if known[left.number].state not in _OPEN:  # it ended before we had the lock
            lock.release()
            return None
        trial = Trial(self.study, left._trial_id)
        session, reported = str(left.user_attrs[_SESSION]), tuple(left.intermediate_values)
        return TakenTrial(trial, session, self.recipe_of(left), True, lock, reported)

    def _drop_unclaimed(self) -> None:
        """Give up trials whose process died before it had drawn their values."""
        for one in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _PLACE in one.user_attrs:
                continue
            began = one.datetime_start
            is_old = began is not None and time.time() - began.timestamp() > _ASKING_SECONDS
            if is_old or self.study.user_attrs.get("only_here") == self.place.key:
                self.study.tell(one.number, state=TrialState.FAIL)

    def _drawn(self, trial: Trial) -> dict[str, Value]:
        return {one.key: _draw(trial, one) for one in self.space.dimensions}


def _draw(trial: Trial, one: Dimension) -> Value:
    if one.choices:
        drawn = trial.suggest_categorical(one.key, one.choices)
        return cast("Value", drawn)  # none of ours is None
    if one.is_whole:
        return trial.suggest_int(one.key, int(one.low), int(one.high), log=one.is_log)
    return trial.suggest_float(one.key, one.low, one.high, log=one.is_log)


@dataclass(frozen=True)
class Limits:
    """How long a search goes on; None: as it was said before."""

    trials: int | None = None
    hours: float | None = None


def open_search(
    storage: optuna.storages.BaseStorage,
    place: SearchPlace,
    recipe: Recipe,
    space: Space,
    limits: Limits,
    *,
    joins: bool = False,
    is_shared: bool = False,
) -> Search:
    """Start a search, or go on with the one of this name.

    Args:
        place: its folder here, named like the search.
        recipe: sealed by this function, whatever it says.
        joins: whether it must exist; then its own limits hold.
        is_shared: whether workers with other folders may use the storage.

    Raises:
        UsageError: it doesn't exist and no limit is given, or ``joins``.
        RecipeError: the study of that name is of another recipe or another space.
    """
    name, recipe = place.path.name, sealed(recipe)
    names = optuna.get_all_study_names(storage)
    if name not in names and joins:
        raise UsageError(
            f"there is no search {name} in this storage",
            remedy=f"Known there: {', '.join(names) or 'none'}. Without --join one is started.",
        )
    if name not in names and limits == Limits():
        raise UsageError("a new search needs an end", remedy="Say --trials 40, --hours 8, or both.")
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        sampler=_sampler(),
        pruner=_pruner(recipe.train.epochs),
    )
    _settle(study, recipe, space, limits, joins=joins)
    if not is_shared:
        study.set_user_attr("only_here", place.key)
    return Search(name, recipe, space, study, place)


def sealed(recipe: Recipe) -> Recipe:
    """The recipe with its test part closed."""
    evaluate = recipe.evaluate.model_copy(update={"sealed": True})
    return recipe.model_copy(update={"evaluate": evaluate})


def _sampler() -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: workers don't all try the same values at once.
        return optuna.samplers.TPESampler(constant_liar=True)


def _pruner(epochs: int) -> optuna.pruners.BasePruner:
    first = max(1, epochs // REDUCTION**2)
    return optuna.pruners.SuccessiveHalvingPruner(first, REDUCTION)


def _settle(
    study: optuna.Study, recipe: Recipe, space: Space, limits: Limits, *, joins: bool
) -> None:
    """Keep in a new study what it is of; compare that with an older one's."""
    attrs = study.user_attrs
    if _RECIPE in attrs:
        _refuse_other(study.study_name, attrs[_RECIPE], recipe, json.loads(attrs[_SPACE]), space)
    else:
        study.set_user_attr(_SPACE, json.dumps(space.as_json()))
        study.set_user_attr(_RECIPE, as_toml_values(recipe))
        if (own := space.values_of(recipe)) is not None:  # the first trial is the recipe itself
            study.enqueue_trial(own, skip_if_exists=True)
    if joins:
        return
    if limits.trials is not None:
        study.set_user_attr(_LIMIT, limits.trials)
    if limits.hours is not None and attrs.get("hours") != limits.hours:
        study.set_user_attr("hours", limits.hours)
        study.set_user_attr(_UNTIL, time.time() + 3600 * limits.hours)


def _refuse_other(
    name: str, kept: dict[str, object], recipe: Recipe, kept_space: object, space: Space
) -> None:
    before = sealed_recipe(kept, f"search {name}")
    others: Sequence[str] = [
        f"{key} was {old}, is {new}"
        for key, (old, new) in differences(before, recipe).items()
        if key not in (*PATH_KEYS, "name", "note")
    ]
    if kept_space != json.loads(json.dumps(space.as_json())):
        others = [*others, "the space has other keys or bounds"]
    if others:
        raise RecipeError(
            "; ".join(others),
            where=f"search {name}",
            why="Trials of other settings can't be compared with those that it has",
            remedy="Give this search its own name with --name NAME.",
        )
