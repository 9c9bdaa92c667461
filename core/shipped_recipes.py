"""The shipped recipes by name, as TOML text."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable


def shipped_recipes() -> dict[str, str]:
    """Name -> TOML text of every shipped recipe except the broken ones."""
    return toml_texts_in(resources.files("core") / "recipes")


def broken_recipes() -> dict[str, str]:
    """The same for recipes that are each broken in one way, and for their healthy twin."""
    return toml_texts_in(resources.files("core") / "recipes" / "broken")


def toml_texts_in(folder: Traversable) -> dict[str, str]:
    """Name -> text of every TOML file of a folder."""
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
