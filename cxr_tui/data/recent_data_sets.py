"""Recently opened data sets, remembered in the user's state folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from core.errors import CxrError
from core.recipe import PATH_KEYS, READING_KEYS, PhantomSettings, Recipe
from core.recipe_data import TogetherSettings
from core.recipe_on_data import on_one, on_several
from core.recipe_toml import changed_recipe
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json
from core.words import number_of

MOST_REMEMBERED = 8


@dataclass(frozen=True)
class DataSet:
    """Where a data set is and how its table is read, by a recipe's keys; or a phantom."""

    paths: tuple[tuple[str, str], ...] = ()
    phantom: PhantomSettings | None = None
    several: tuple[TogetherSettings, ...] = ()
    """Data sets that are trained on together; they are not remembered."""

    @classmethod
    def of(cls, recipe: Recipe) -> DataSet:
        """The data set of a recipe, or its several."""
        if recipe.datasets:
            return cls(several=recipe.datasets)
        found = []
        for key in PATH_KEYS:
            section, _, name = key.partition(".")
            path = getattr(getattr(recipe, section), name)
            if path is not None:
                found.append((key, str(path)))
        default = Recipe()
        for key in READING_KEYS:
            value = _value(recipe, key)
            if value != _value(default, key):
                found.append((key, ", ".join(value) if isinstance(value, tuple) else str(value)))
        return cls(tuple(found), recipe.dataset.phantom)

    @classmethod
    def at(cls, path: Path) -> DataSet:
        """The data set in a folder, or of a label table with its images next to it."""
        absolute = path.expanduser().absolute()
        if absolute.is_file():
            return cls(
                (("dataset.labels", str(absolute)), ("dataset.images", str(absolute.parent)))
            )
        return cls((("dataset.images", str(absolute)),))

    @property
    def is_named(self) -> bool:
        """Whether there is anything to read."""
        keys = [key for key, _ in self.paths if key in PATH_KEYS]
        return bool(self.several or self.phantom) or any(key.startswith("dataset.") for key in keys)

    @property
    def name(self) -> str:
        """A short name for heads and lists."""
        if self.several:
            return " + ".join(name for name, _ in Recipe(datasets=self.several).sources)
        if self.phantom is not None:
            return f"synthetic set of {number_of(self.phantom.patients, 'patient')}"
        by_key = dict(self.paths)
        path = by_key.get("dataset.images") or by_key.get("dataset.labels") or ""
        return Path(path).name or path

    @property
    def place(self) -> str:
        """The folder, or the table if no folder is named."""
        if self.several:
            return str(self.several[0].images or self.several[0].labels or "")
        by_key = dict(self.paths)
        return by_key.get("dataset.images") or by_key.get("dataset.labels") or ""

    def put_into(self, recipe: Recipe) -> Recipe:
        """The recipe on this data set; the previous one's files are removed.

        Raises:
            RecipeError: see ``changed_recipe``.
        """
        if self.several:
            return on_several(recipe, self.several)
        recipe = on_one(recipe)
        by_key = dict(self.paths)
        changes = [f"{key}={by_key.get(key, '')}" for key in PATH_KEYS]
        changes += [f"{key}={_as_set(key, by_key.get(key))}" for key in READING_KEYS]
        if self.phantom is None:
            return changed_recipe(recipe, [*changes, "dataset.phantom=none"])
        made = ", ".join(f"{key} = {value}" for key, value in self.phantom.model_dump().items())
        return changed_recipe(recipe, [*changes, f"dataset.phantom={{ {made} }}"])


def _value(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _as_set(key: str, text: str | None) -> str:
    """The value of a key as ``--set`` takes it; what is not remembered gets its default."""
    if text is None:
        default = _value(Recipe(), key)
        return "none" if default is None else str(default)
    if key == "dataset.views":
        return json.dumps(text.split(", "))
    # In quotes: a column may be named like a number.
    return json.dumps(text)


def recent_file() -> Path:
    """The file of the list."""
    return platformdirs.user_state_path("cxr-tui") / "recent.json"


def recent_data_sets() -> list[DataSet]:
    """The latest first; empty if there is no list or it can't be read."""
    try:
        kept = json.loads(read_regular(recent_file(), MOST_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    entries = kept.get("data_sets") if isinstance(kept, Mapping) else None
    return [entry for entry in map(_entry, entries if isinstance(entries, list) else []) if entry]


def remember(data_set: DataSet) -> None:
    """Put a data set first in the list. A phantom is not listed: it is always offered.

    Raises:
        OSError: the list can't be written.
    """
    if data_set.phantom is not None or not data_set.paths:
        return
    others = [entry for entry in recent_data_sets() if entry != data_set]
    kept = [data_set, *others][:MOST_REMEMBERED]
    path = recent_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"data_sets": [dict(entry.paths) for entry in kept]}, follow=True)


def _entry(value: object) -> DataSet | None:
    """A remembered data set; None if the entry is not one that we wrote."""
    if not isinstance(value, Mapping):
        return None
    keys = (*PATH_KEYS, *READING_KEYS)
    paths = tuple((key, value[key]) for key in keys if isinstance(value.get(key), str))
    entry = DataSet(paths)
    try:
        entry.put_into(Recipe())
    except CxrError:
        return None
    return entry if entry.is_named else None
