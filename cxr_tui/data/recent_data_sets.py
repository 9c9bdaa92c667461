"""The data sets that were opened lately, remembered in the user's state folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from core.errors import CxrError
from core.recipe import PATH_KEYS, PhantomSettings, Recipe
from core.recipe_toml import changed_recipe
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json
from core.words import number_of

MOST_REMEMBERED = 8


@dataclass(frozen=True)
class DataSet:
    """Where a data set is: the paths that a recipe names, by their keys; or a phantom."""

    paths: tuple[tuple[str, str], ...] = ()
    phantom: PhantomSettings | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> DataSet:
        """The data set of a recipe."""
        found = []
        for key in PATH_KEYS:
            section, _, name = key.partition(".")
            path = getattr(getattr(recipe, section), name)
            if path is not None:
                found.append((key, str(path)))
        return cls(tuple(found), recipe.dataset.phantom)

    @classmethod
    def at(cls, path: Path) -> DataSet:
        """The data set in a folder, or of a label table with its images beside it."""
        absolute = path.expanduser().absolute()
        if absolute.is_file():
            return cls(
                (("dataset.labels", str(absolute)), ("dataset.images", str(absolute.parent)))
            )
        return cls((("dataset.images", str(absolute)),))

    @property
    def is_named(self) -> bool:
        """Whether there is anything to read."""
        return self.phantom is not None or any(key.startswith("dataset.") for key, _ in self.paths)

    @property
    def name(self) -> str:
        """A short name for heads and lists."""
        if self.phantom is not None:
            return f"synthetic set of {number_of(self.phantom.patients, 'patient')}"
        by_key = dict(self.paths)
        path = by_key.get("dataset.images") or by_key.get("dataset.labels") or ""
        return Path(path).name or path

    @property
    def place(self) -> str:
        """The folder, or the table where no folder is named."""
        by_key = dict(self.paths)
        return by_key.get("dataset.images") or by_key.get("dataset.labels") or ""

    def put_into(self, recipe: Recipe) -> Recipe:
        """The recipe on this data set; files of the one before are forgotten.

        Raises:
            RecipeError: see ``changed_recipe``.
        """
        by_key = dict(self.paths)
        changes = [f"{key}={by_key.get(key, '')}" for key in PATH_KEYS]
        if self.phantom is None:
            return changed_recipe(recipe, [*changes, "dataset.phantom=none"])
        made = ", ".join(f"{key} = {value}" for key, value in self.phantom.model_dump().items())
        return changed_recipe(recipe, [*changes, f"dataset.phantom={{ {made} }}"])


def recent_file() -> Path:
    """Where the list is kept."""
    return platformdirs.user_state_path("cxr-tui") / "recent.json"


def recent_data_sets() -> list[DataSet]:
    """The latest first; nothing where there is no list or it can't be read."""
    try:
        kept = json.loads(read_regular(recent_file(), MOST_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    entries = kept.get("data_sets") if isinstance(kept, Mapping) else None
    return [entry for entry in map(_entry, entries if isinstance(entries, list) else []) if entry]


def remember(data_set: DataSet) -> None:
    """Put a data set first in the list. A phantom is not kept: it is always offered.

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
    """A remembered data set; None where somebody else has written the entry."""
    if not isinstance(value, Mapping):
        return None
    paths = tuple((key, value[key]) for key in PATH_KEYS if isinstance(value.get(key), str))
    entry = DataSet(paths)
    try:
        entry.put_into(Recipe())
    except CxrError:
        return None
    return entry if entry.is_named else None
