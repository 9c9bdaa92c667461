"""The user's own data set, for recipes that name none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe
from cxr_tui.config import user_config


def own_recipe(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe with ``KEY=VALUE`` changes, on the user's data set where it names none.

    Raises:
        RecipeError: see ``core.recipe_toml.load_recipe``.
        UsageError: config.toml is invalid.
    """
    return with_own_data(load_recipe(name_or_path, changes))


def with_own_data(recipe: Recipe) -> Recipe:
    """The recipe on the user's data set (``data`` in config.toml), if it names none.

    Raises:
        UsageError: config.toml is invalid.
    """
    dataset = recipe.dataset
    named = (dataset.images, dataset.labels, dataset.phantom)
    if recipe.datasets or any(value is not None for value in named):
        return recipe
    folder = user_config().data_for(dataset.kind)
    return recipe if folder is None else changed_recipe(recipe, [f"dataset.images={folder}"])
