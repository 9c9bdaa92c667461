"""What of a recipe may differ when a run goes on under it, and what makes another run of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import RecipeError
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import differences

SAFE_TO_CHANGE = (
    "train.epochs",
    "train.checkpoint_minutes",
    "train.disk_wait_minutes",
    "train.early_stopping",
    "train.few_images_first",
    "train.resident_share",
    "train.step",
    "note",
)
SAFE_SECTIONS = ("evaluate.",)

Differences = Mapping[str, tuple[Any, Any]]
"""Key -> (value before, value after)."""


def safe_differences(before: Recipe, after: Recipe, where: object) -> Differences:
    """What differs, where none of it makes another run.

    Raises:
        RecipeError: something else differs; every such key is named.
    """
    changed = differences(before, after)
    unsafe = {key: values for key, values in changed.items() if not _is_safe(key)}
    if unsafe:
        raise RecipeError(
            "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in unsafe.items()),
            where=where,
            why="A run that goes on under other settings is neither run.",
            remedy=f"Start a new session for that. Safe to change: {', '.join(SAFE_TO_CHANGE)}, "
            "and where the same data set lies.",
        )
    return changed


def asks_for_more(before: Recipe, after: Recipe) -> bool:
    """Whether a finished session has something left to do under a recipe that may differ."""
    changed = differences(before, after)
    return (
        after.train.epochs > before.train.epochs
        or "train.early_stopping" in changed
        or any(key.startswith(SAFE_SECTIONS) for key in changed)
    )


def _is_safe(key: str) -> bool:
    return key in (*SAFE_TO_CHANGE, *PATH_KEYS, "name") or key.startswith(SAFE_SECTIONS)
