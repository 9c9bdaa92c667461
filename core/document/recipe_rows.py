"""The recipe of a session, and how it differs from the shipped one of its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Block, Table, Words
from core.errors import RecipeError
from core.evaluation.comparing.recipe_groups import name_without_seed
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import as_toml_values, differences, load_recipe
from core.shipped_recipes import shipped_recipes

_UNSET = "not set"
_PATHS = frozenset(PATH_KEYS)


def recipe_blocks(recipe: Recipe) -> list[Block]:
    """What was changed, and every key; of paths only their ends, which say nothing of a machine."""
    return [_changes(recipe), _every_key(recipe)]


def _changes(recipe: Recipe) -> Block:
    name = name_without_seed(recipe.name)
    if name not in shipped_recipes():
        return Words((f"No shipped recipe is called {name}: every key is below.",))
    try:
        preset = load_recipe(name)
    except RecipeError as error:  # a shipped one that this machine can't read
        return Words((str(error),))
    changed = differences(preset, recipe)
    if not changed:
        return Words((f"The recipe is {name} as shipped: no key was changed.",))
    rows = tuple(
        (key, _value(key, before), _value(key, after)) for key, (before, after) in changed.items()
    )
    head = ("key", f"in {name}", "in this session")
    return Table(f"Changed from the shipped recipe {name}", head, rows, left=3)


def _every_key(recipe: Recipe) -> Table:
    flat = _flat(as_toml_values(recipe))
    sections = dict.fromkeys(key.rpartition(".")[0] for key in flat)
    rows = tuple(
        (
            section or "recipe",
            " · ".join(
                f"{key.rpartition('.')[2]} = {_value(key, value)}"
                for key, value in flat.items()
                if key.rpartition(".")[0] == section
            ),
        )
        for section in sections
    )
    return Table("Every key of the recipe", ("section", "keys"), rows, left=2)


def _value(key: str, value: object) -> str:
    if value is None:
        return _UNSET
    if key in _PATHS or key.rpartition(".")[2] in ("images", "labels", "boxes"):
        return _end_of(str(value))
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _end_of(path: str) -> str:
    """Such as ``…/BBox_List_2017.csv``; a name without folders stays as it is."""
    end = path.rstrip("/").rpartition("/")[2]
    return end if end == path else f"…/{end}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for position, one in enumerate(value):
                flat |= _flat(one, f"{prefix}{key}[{position}].")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
