"""What a new run needs before it may begin: a data set that is named, and its initial weights."""

from __future__ import annotations

from pathlib import Path

from core.data.study.sources import locate_sources
from core.model.pretrained.places import require_weights
from core.recipe import Recipe


def require_named_data(recipe: Recipe, cache: Path) -> None:
    """Refuse a recipe whose data set isn't named or isn't there; nothing is read or drawn.

    Raises:
        RecipeError, DataError: see ``locate_sources``.
    """
    each = [own for _, own in recipe.sources] if recipe.datasets else [recipe]
    for own in each:
        if own.dataset.phantom is None:
            locate_sources(own, cache=cache)


def require_inputs(recipe: Recipe, cache: Path) -> None:
    """Refuse a run that could not begin, before tables are read and images decoded.

    A wrong recipe is told first, then missing weights.

    Raises:
        RecipeError, DataError: no data set is named, or its files or the weights are not there.
    """
    require_named_data(recipe, cache)
    require_weights(recipe.model.weights)
