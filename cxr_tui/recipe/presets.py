"""Recipes to start from: the shipped ones, and those of past sessions."""

from __future__ import annotations

from pathlib import Path

from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.shipped_recipes import shipped_recipes
from core.store.session import Session
from core.store.sessions import list_sessions
from cxr_tui.own_data import own_recipe

_MOST_SESSIONS = 200


def preset_choices(sessions: Path) -> list[tuple[str, str]]:
    """Names, each with a description: ours first, then the latest sessions."""
    shipped = [load_recipe(name) for name in shipped_recipes()]
    width = max(len(recipe.name) for recipe in shipped)
    choices = [(recipe.name, f"{recipe.name:<{width}}  {recipe.note}") for recipe in shipped]
    past = list_sessions(sessions)[:_MOST_SESSIONS]
    return [*choices, *((session.name, f"session {session.name}") for session in past)]


def preset_recipe(name: str, sessions: Path) -> Recipe:
    """The recipe behind a preset's name: a shipped one, a session's, or a file's.

    Raises:
        RecipeError, SessionError: there is none.
    """
    if name in shipped_recipes() or not (sessions / name).is_dir():
        return own_recipe(name)
    return Session(sessions / name).recipe
