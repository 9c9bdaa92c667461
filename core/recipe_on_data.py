"""A recipe on other data: on the files of another recipe, on several data sets, on one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.recipe import PATH_KEYS, READING_KEYS, Recipe
from core.recipe_data import TogetherSettings
from core.recipe_toml import as_toml_values, changed_recipe, checked_recipe, flat_values


def with_data_of(recipe: Recipe, other: Recipe) -> Recipe:
    """The recipe on the files of another; as it is where that one names none, or where it names
    several data sets itself.

    Raises:
        RecipeError: both together can't be.
    """
    if other.datasets:
        return on_several(recipe, other.datasets)
    paths = flat_values(other)
    if recipe.datasets or not any(key in paths for key in PATH_KEYS):
        return recipe
    changes = [f"{key}={paths.get(key, '')}" for key in PATH_KEYS]
    if recipe.dataset.kind is None:  # a collection's own recipe says itself how it is read
        read_as = {key: paths.get(key) for key in READING_KEYS}
        changes += [f"{key}={_set_value(value)}" for key, value in read_as.items()]
    partial = str(other.dataset.partial).lower()
    return changed_recipe(recipe, [*changes, "dataset.phantom=none", f"dataset.partial={partial}"])


def _set_value(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return "none" if value is None else json.dumps(value)


def on_several(recipe: Recipe, datasets: Sequence[TogetherSettings]) -> Recipe:
    """The recipe on several data sets, with their own findings and policies.

    Raises:
        RecipeError: both together can't be.
    """
    values = {
        key: value
        for key, value in as_toml_values(recipe).items()
        if key not in ("dataset", "labels", "datasets")
    }
    values["datasets"] = [one.model_dump(mode="json", exclude_none=True) for one in datasets]
    return checked_recipe(values, "datasets")


def on_one(recipe: Recipe) -> Recipe:
    """The recipe for a single data set that is not named yet; it keeps the findings."""
    if not recipe.datasets:
        return recipe
    values = {key: value for key, value in as_toml_values(recipe).items() if key != "datasets"}
    values["dataset"] = {"findings": list(recipe.dataset.findings)}
    return checked_recipe(values, "dataset")
