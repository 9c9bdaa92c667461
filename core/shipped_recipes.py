"""The recipes that come with the package, by name, as TOML text."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable


def shipped_recipes() -> dict[str, str]:
    """Name -> TOML text of every recipe that comes with the package, but for the broken ones."""
    return _recipes_in(resources.files("core") / "recipes")


def broken_recipes() -> dict[str, str]:
    """The same of recipes with one fault each, made to be found, and of their healthy twin."""
    return _recipes_in(resources.files("core") / "recipes" / "broken")


def _recipes_in(folder: Traversable) -> dict[str, str]:
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
