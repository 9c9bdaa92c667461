"""Recipes to begin with: those that are shipped, and those of past sessions."""

from __future__ import annotations

import contextlib
from pathlib import Path

from core.errors import CxrError
from core.recipe import Recipe
from core.recipe_toml import differences, load_recipe
from core.shipped_recipes import shipped_recipes
from core.store.session import Session
from core.store.sessions import list_sessions

_MOST_SESSIONS = 200


def preset_choices(sessions: Path) -> list[tuple[str, str]]:
    """Names, each with a line about it: ours first, then the latest sessions."""
    shipped = [load_recipe(name) for name in shipped_recipes()]
    width = max(len(recipe.name) for recipe in shipped)
    choices = [(recipe.name, f"{recipe.name:<{width}}  {recipe.note}") for recipe in shipped]
    past = list_sessions(sessions)[:_MOST_SESSIONS]
    return [*choices, *((session.name, f"session {session.name}") for session in past)]


def preset_recipe(name: str, sessions: Path, draft: Recipe | None) -> Recipe:
    """The recipe behind a preset's name: a shipped one, a session's, or a file's.

    With a ``draft`` there is always an answer: of two of one name the one that the draft comes
    from, and the draft itself where there is none any more.

    Raises:
        RecipeError: there is none, and no draft.
    """
    found = []
    with contextlib.suppress(CxrError, OSError):
        found.append(Session(sessions / name).recipe)
    if draft is None:
        return found[0] if found and name not in shipped_recipes() else load_recipe(name)
    with contextlib.suppress(CxrError):
        found.append(load_recipe(name))
    return min(found, key=lambda recipe: len(differences(recipe, draft)), default=draft)
