"""Which keys of a recipe may change when a run is resumed."""

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
    "train.trackers",
    "note",
)
SAFE_SECTIONS = ("evaluate.",)

Differences = Mapping[str, tuple[Any, Any]]
"""Key -> (value before, value after)."""


def safe_differences(before: Recipe, after: Recipe, where: object) -> Differences:
    """The differences, all of which must be safe to change.

    Raises:
        RecipeError: another key differs; the message names all of them.
    """
    changed = differences(before, after)
    unsafe = {key: values for key, values in changed.items() if not _is_safe(key)}
    if unsafe:
        raise RecipeError(
            "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in unsafe.items()),
            where=where,
            why="A run that continues with other settings is a different run.",
            remedy=f"Start a new session instead. Safe to change: {', '.join(SAFE_TO_CHANGE)}, and "
            "the location of the same data set.",
        )
    return changed


def asks_for_more(before: Recipe, after: Recipe) -> bool:
    """Whether a finished session has something left to do with a changed recipe."""
    changed = differences(before, after)
    return (
        after.train.epochs > before.train.epochs
        or "train.early_stopping" in changed
        or any(key.startswith(SAFE_SECTIONS) for key in changed)
    )


def _is_safe(key: str) -> bool:
    return key in (*SAFE_TO_CHANGE, *PATH_KEYS, "name") or key.startswith(SAFE_SECTIONS)
