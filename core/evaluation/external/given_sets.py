"""The data sets that a network is put on, as they were named: folders, recipes, or keys alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError
from core.evaluation.external.external_data import external_recipe
from core.evaluation.external.kept import is_set_name, name_for, safe_name
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.store.files import is_folder

_SAYS_WHICH = ("dataset.images", "dataset.phantom")


@dataclass(frozen=True)
class GivenSet:
    """A data set before a session's own settings are known.

    Attributes:
        typed: how it was named; '' if by keys alone.
        where: its folder or recipe; '' likewise.
        recipe: says what it is; None where ``changes`` alone do.
        changes: ``KEY=VALUE``, see ``external_recipe``.
        stem: of its results' name; '' to take it from the data.
    """

    typed: str
    where: str
    recipe: Recipe | None
    changes: tuple[str, ...]
    stem: str = ""

    def recipe_for(self, own: Recipe) -> Recipe:
        """How a session reads it, see ``external_recipe``."""
        return external_recipe(own, self.changes, self.recipe)

    def name(self, own: Recipe, part: str) -> str:
        """Its results' name in a session of this recipe."""
        if not self.stem:
            return name_for(self.recipe_for(own), part)
        return self.stem if part == "all" else f"{self.stem}-{part}"


def given_sets(on: Sequence[str], changes: Sequence[str]) -> tuple[GivenSet, ...]:
    """The sets that were named; the changes hold for each, and are the only set if none was.

    Raises:
        UsageError: neither a folder nor a recipe, or the changes name a data set too.
        RecipeError: a recipe that can't be read.
    """
    if not on:
        return (GivenSet("", "", None, tuple(changes)),)
    for change in changes:
        key = change.partition("=")[0].strip()
        if key in _SAYS_WHICH:
            raise UsageError(
                "names a data set beside those of --on",
                where=f"--set {key}",
                why="The keys of --set hold for every set of --on.",
                remedy="Name this set with --on too.",
            )
    return tuple(_given_set(text, tuple(changes)) for text in on)


def _given_set(text: str, changes: tuple[str, ...]) -> GivenSet:
    name, equals, named = text.partition("=")
    has_name = bool(equals) and is_set_name(name) and not Path(text).exists()
    where, stem = (named, name) if has_name else (text, "")
    if is_folder(Path(where)):
        return GivenSet(text, where, None, (f"dataset.images={where}", *changes), stem)
    path = Path(where)
    if path.exists() and path.suffix != ".toml":
        raise UsageError(
            "is neither a folder of images nor a recipe",
            where=f"--on {text}",
            remedy="Name the folder; a table beside it is named with --set dataset.labels=FILE.csv "
            "or in a recipe.",
        )
    recipe = load_recipe(where)
    return GivenSet(text, where, recipe, changes, stem or safe_name(path.stem))
