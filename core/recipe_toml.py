"""Recipes as TOML: shipped or the user's own, changed by ``--set``, checked, written back.

A wrong key, type or bound is refused with the key as the user typed it, the value, what
is allowed and the nearest known key.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from core.errors import RecipeError
from core.findings import did_you_mean
from core.recipe import IMAGENET, NO_WEIGHTS, PARTS, PATH_KEYS, Recipe
from core.recipe_faults import check_key, fault_of, key_of
from core.recipe_remedies import about_toml
from core.regular_file import read_regular
from core.shipped_recipes import broken_recipes, shipped_recipes

_MAX_RECIPE_BYTES = 1_000_000
_MOST_DOTS = 5_000
"""A key of n parts takes n² steps to read; ours have two."""
_ESCAPES = frozenset("\b\t\n\f\r")
_FAULTS_TOLD = 20
_LIST_KEYS = ("dataset.findings", "subset.parts")
_TEXT_KEYS = ("name", "note", "model.weights", "evaluate.reference", *PATH_KEYS)

_BEFORE_THE_KEY = {"subset": {"parts": list(PARTS)}}
"""What a session's recipe means that is from before a key was there: then all parts were drawn."""


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of that path or shipped name, with ``KEY=VALUE`` overrides applied.

    Paths in a recipe are relative to its file, paths in overrides to the working directory. Of a
    session's recipe.toml see ``recorded_recipe``.

    Raises:
        RecipeError: no such recipe, not TOML, or a key, type or bound is wrong.
    """
    settings, where = _settings_of(name_or_path)
    path = Path(name_or_path)
    if path.name == "recipe.toml" and (path.parent / "events.jsonl").is_file():
        _mean_as_before(settings)
    changed = [override.partition("=")[0].strip() for override in overrides]
    return checked_recipe(_overridden(settings, overrides), where, changed)


def recorded_recipe(path: Path) -> Recipe:
    """The recipe that a session keeps, under which it was run.

    It was complete when it was written. So a key that it lacks is a later one, and stands for
    what was done before there was such a key.

    Raises:
        RecipeError: see ``load_recipe``.
    """
    settings, where = _settings_of(path)
    _mean_as_before(settings)
    return checked_recipe(settings, where)


def sealed_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe whose values a run kept, as ``as_toml_values`` gave them.

    Raises:
        RecipeError: see ``checked_recipe``.
    """
    settings = dict(values)
    _mean_as_before(settings)
    return checked_recipe(settings, where)


def as_recorded(recipe: Recipe, path: Path) -> Recipe:
    """A recipe to go on with: of keys that neither it nor the session's names, the session's sense.

    Raises:
        RecipeError: see ``load_recipe``.
    """
    settings, _ = _settings_of(path)
    changes: dict[str, Any] = {}
    for name, meant in _BEFORE_THE_KEY.items():
        section, table = getattr(recipe, name), settings.get(name, {})
        meant_here = {
            key: tuple(value)
            for key, value in meant.items()
            if key not in table and key not in section.model_fields_set
        }
        changes[name] = section.model_copy(update=meant_here)
    return recipe.model_copy(update=changes)


def _mean_as_before(settings: dict[str, Any]) -> None:
    for name, meant in _BEFORE_THE_KEY.items():
        table = settings.setdefault(name, {})
        if isinstance(table, dict):
            settings[name] = meant | table


def _settings_of(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    """The recipe's tables, with absolute paths, and what to call it."""
    text, where, folder = _recipe_text(name_or_path)
    settings = _parsed(text, where)
    _make_paths_absolute(settings, folder)
    return settings, where


def changed_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe with ``KEY=VALUE`` overrides applied; paths relative to the working directory."""
    return checked_recipe(_overridden(as_toml_values(recipe), overrides), "--set")


def checked_recipe(
    settings: Mapping[str, Any], where: str, overridden: Sequence[str] = ()
) -> Recipe:
    """A recipe made of nested tables; every fault in it is named in one RecipeError.

    Where all faults are in keys that were ``overridden``, ``--set`` is to blame and not ``where``.
    """
    try:
        # Strict, and by way of JSON: TOML's types are JSON's, and epochs = "3" is a mistake.
        return Recipe.model_validate_json(json.dumps(settings, default=str), strict=True)
    except ValidationError as error:
        faults = [fault_of(dict(item)) for item in error.errors()[:_FAULTS_TOLD]]
        if error.error_count() > _FAULTS_TOLD:
            faults.append(f"and {error.error_count() - _FAULTS_TOLD:,} more")
        if all(key_of(dict(item)) in overridden for item in error.errors()):
            where = "--set"
        raise RecipeError("; ".join(faults), where=where) from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"holds a number or a table that is too large or too deep ({error})", where=where
        ) from None


def recipe_toml(recipe: Recipe) -> str:
    """The complete recipe, defaults included, as TOML."""
    return tomli_w.dumps(as_toml_values(recipe))


def differences(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Key -> (value before, value after), for every key whose value differs."""
    old, new = _flat(as_toml_values(before)), _flat(as_toml_values(after))
    return {
        key: (old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    }


def _recipe_text(name_or_path: str | Path) -> tuple[str, str, Path]:
    path = Path(name_or_path)
    shipped, broken = shipped_recipes(), broken_recipes()
    known = shipped | broken
    if str(name_or_path) in known and not path.is_file():
        return known[str(name_or_path)], f"recipe {name_or_path}", Path.cwd()
    try:
        text = read_regular(path, _MAX_RECIPE_BYTES).decode("utf-8-sig")
        return text, str(path), path.resolve().parent
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(
            "there is no such recipe",
            where=name_or_path,
            remedy=did_you_mean(str(name_or_path), known)
            or f"Give a path or one of: {', '.join(shipped)}. Broken on purpose, to see what is "
            f"told: {', '.join(broken)}.",
        ) from None
    except UnicodeDecodeError:
        raise RecipeError("is not UTF-8 text", where=path, remedy="Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise RecipeError(f"can't be read ({what})", where=name_or_path) from None


def _parsed(text: str, where: str) -> dict[str, Any]:
    if text.count(".") > _MOST_DOTS:
        raise RecipeError("has more dots than any recipe", where=where)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's own, or a number of 5,000 digits
        raise RecipeError(
            f"is not valid TOML: {error}", where=where, remedy=about_toml(text, str(error))
        ) from None


def _overridden(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RecipeError(
                f"--set takes KEY=VALUE, got {override!r}",
                remedy="For example --set train.epochs=3.",
            )
        check_key(key)
        value = _override_value(key, text.strip())
        if value and key in (*PATH_KEYS, "model.weights"):
            value = _absolute(key, str(value), Path.cwd())
        _put(settings, key, value)
    return settings


def _override_value(key: str, text: str) -> Any:
    """The text as TOML where it is that, else as it stands; ``none`` clears an optional key."""
    if key in _TEXT_KEYS:
        quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
        text = text[1:-1] if quoted else text
        return None if text == "" and key in PATH_KEYS else text
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        pass
    if key in _LIST_KEYS:
        return [name.strip() for name in text.split(",") if name.strip()]
    return text


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    table = settings
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"must be a table, got {inner!r}", where=section)
        table = inner
    if value is None:
        table.pop(last, None)
    else:
        table[last] = value


def _make_paths_absolute(settings: dict[str, Any], folder: Path) -> None:
    for key in (*PATH_KEYS, "model.weights"):
        section, _, name = key.partition(".")
        table = settings.get(section)
        if isinstance(table, dict) and isinstance(table.get(name), str) and table[name]:
            _refuse_escaped(key, table[name], folder)
            table[name] = _absolute(key, table[name], folder)


def _refuse_escaped(key: str, value: str, folder: Path) -> None:
    """Raises RecipeError for ``"C:\\nih"``, in which TOML reads a new line, unless it is there."""
    escaped = not _ESCAPES.isdisjoint(value) and "\0" not in value
    if escaped and not os.path.lexists(folder / value):
        raise RecipeError(
            f"{value[:200]!r} holds a control character",
            where=key,
            remedy="In double quotes a backslash begins an escape (\\n is a new line): write the "
            "path with / or in single quotes.",
        )


def _absolute(key: str, value: str, folder: Path) -> str:
    if "\0" in value or (key == "model.weights" and value in (IMAGENET, NO_WEIGHTS)):
        return value
    try:
        path = os.path.normpath(folder / Path(value).expanduser())
    except RuntimeError:
        raise RecipeError(
            f"{value[:200]!r} names the home of a user that is not known here",
            where=key,
            remedy="Write the whole path.",
        ) from None
    try:
        path.encode()
    except UnicodeEncodeError:
        raise RecipeError(
            f"{path[-200:]!r} is not a path in UTF-8",
            where=key,
            why="A recipe is TOML, which can't hold it, and a session keeps its recipe",
            remedy="Rename that folder, or name it by a link: ln -s FOLDER nih.",
        ) from None
    return path


def as_toml_values(recipe: Recipe) -> dict[str, Any]:
    """The complete recipe as nested tables, which JSON holds too."""
    # TOML has no null: a key that is not set is left out, and reads back as its default, None.
    return recipe.model_dump(mode="json", exclude_none=True)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
