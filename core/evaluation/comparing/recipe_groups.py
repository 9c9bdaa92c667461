"""Which runs are of one recipe, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.comparing.comparison import Group
from core.evaluation.comparing.scored_runs import ScoredRun
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import differences

_SEEDS = ("train.seed", "split.seed", "subset.seed", "labels.seed", "evaluate.seed")
_NO_MATTER = (
    *("name", "note"),
    *("train.checkpoint_minutes", "train.disk_wait_minutes", "train.few_images_first"),
    *("train.step", "train.resident_share", "train.trackers"),
    *PATH_KEYS,
)
"""Keys that don't affect what a run computes; that the test part is the same is checked anyway."""

Differences = Mapping[str, tuple[Any, Any]]


def recipe_differences(before: Recipe, after: Recipe) -> Differences:
    """Key -> its two values, for every key that matters and is no seed."""
    return {
        key: values
        for key, values in differences(before, after).items()
        if key not in (*_SEEDS, *_NO_MATTER)
    }


def groups_by_recipe(runs: Sequence[ScoredRun]) -> list[Group]:
    """Sessions whose recipes differ in seeds alone form a group; every other run is its own.

    How figures are computed (``evaluate``) doesn't matter. If there is one group only, its runs
    are compared one by one.
    """
    groups: list[list[int]] = []
    for place, run in enumerate(runs):
        found = next((group for group in groups if _is_alike(runs[group[0]], run)), None)
        if found is None:
            groups.append([place])
        elif not any(runs[other].name == run.name for other in found):
            found.append(place)
    if len(groups) < 2:
        groups = [[place] for place in range(len(runs))]
    return [named_group(runs, group) for group in groups]


def named_group(runs: Sequence[ScoredRun], places: Sequence[int]) -> Group:
    """A group, named after its recipe if its runs have one, or after its first run."""
    members = [runs[place] for place in places]
    if len(members) == 1:
        return Group(members[0].name, tuple(places))
    names = [_without_seed(run) for run in members]
    whole = names[0] if len(set(names)) == 1 else members[0].name
    return Group(f"{whole} × {len(members)}", tuple(places))


def differences_of_groups(runs: Sequence[ScoredRun], a: Group, b: Group) -> dict[str, list[Any]]:
    """Key -> value in A, value in B, of their first runs; empty if a run has no recipe."""
    first, second = runs[a.runs[0]].recipe, runs[b.runs[0]].recipe
    if first is None or second is None:
        return {}
    return {key: list(values) for key, values in recipe_differences(first, second).items()}


def unlike_members(runs: Sequence[ScoredRun], group: Group) -> list[str]:
    """Keys, beside seeds, in which the runs of a group differ: then its spread isn't of seeds."""
    first = runs[group.runs[0]].recipe
    others = [runs[place].recipe for place in group.runs[1:]]
    found = [
        key
        for other in others
        if first is not None and other is not None
        for key in recipe_differences(first, other)
        if not key.startswith("evaluate.")
    ]
    return list(dict.fromkeys(found))


def _is_alike(one: ScoredRun, other: ScoredRun) -> bool:
    if one.recipe is None or other.recipe is None:
        return False
    found = recipe_differences(one.recipe, other.recipe)
    return all(key.startswith("evaluate.") for key in found)


def _without_seed(run: ScoredRun) -> str:
    return run.name if run.recipe is None else name_without_seed(run.recipe.name)


def name_without_seed(name: str) -> str:
    """A recipe's name without the number that ``cxr-tui repeat`` adds."""
    group, dash, number = name.rpartition("-seed")
    return group if dash and number.isdigit() else name


__all__ = ["differences_of_groups", "groups_by_recipe", "named_group", "unlike_members"]
