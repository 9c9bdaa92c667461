"""Recipes as TOML: load shipped or own ones, apply ``--set``, check, and write them.

An unknown key, a wrong type or a value out of bounds is refused with the key as typed, the value,
what is allowed and the nearest known key.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from core.errors import RecipeError
from core.findings import FINDINGS, canonical_finding, did_you_mean
from core.recipe import IMAGENET, NO_WEIGHTS, PARTS, PATH_KEYS, Recipe
from core.recipe_faults import check_key, fault_of, key_of, list_keys
from core.recipe_remedies import about_toml
from core.regular_file import read_regular
from core.shipped_recipes import broken_recipes, shipped_recipes

_MAX_RECIPE_BYTES = 1_000_000
_MOST_DOTS = 5_000
"""A key of n parts takes n² steps to parse; ours have two."""
_ESCAPES = frozenset("\b\t\n\f\r")
_FAULTS_TOLD = 20
_TEXT_KEYS = ("name", "note", "model.weights", "evaluate.reference", *PATH_KEYS)

_BEFORE_THE_KEY = {"subset": {"parts": list(PARTS)}}
"""Values for keys that an older session's recipe lacks: all parts were drawn then."""


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at a path or with a shipped name, with ``KEY=VALUE`` overrides.

    A shipped name comes first: ``./demo`` is the file of that name. Paths in a recipe are relative
    to its file, paths in overrides to the working directory. For a session's recipe.toml see
    ``recorded_recipe``.

    Raises:
        RecipeError: no such recipe, not TOML, or an invalid key or value.
    """
    settings, where = _settings_of(name_or_path)
    path = Path(name_or_path)
    if path.name == "recipe.toml" and (path.parent / "events.jsonl").is_file():
        _mean_as_before(settings)
    changed = [override.partition("=")[0].strip() for override in overrides]
    return checked_recipe(_overridden(settings, overrides), where, changed)


def recorded_recipe(path: Path) -> Recipe:
    """The recipe of a session, as it was run.

    It was complete when written. So a key that it lacks was added later, and gets the value that
    corresponds to the earlier behaviour.

    Raises:
        RecipeError: see ``load_recipe``.
    """
    settings, where = _settings_of(path)
    _mean_as_before(settings)
    return checked_recipe(settings, where)


def sealed_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe from a run's stored values, see ``as_toml_values``.

    Raises:
        RecipeError: see ``checked_recipe``.
    """
    settings = dict(values)
    _mean_as_before(settings)
    return checked_recipe(settings, where)


def as_recorded(recipe: Recipe, path: Path) -> Recipe:
    """A recipe for resuming a session: unset keys keep the session's defaults.

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
    """The recipe's tables with absolute paths, and its name for messages."""
    text, where, folder = _recipe_text(name_or_path)
    settings = _parsed(text, where)
    _make_paths_absolute(settings, folder)
    return settings, where


def changed_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe with ``KEY=VALUE`` overrides; paths are relative to the working directory."""
    return checked_recipe(_overridden(as_toml_values(recipe), overrides), "--set")


def checked_recipe(
    settings: Mapping[str, Any], where: str, overridden: Sequence[str] = ()
) -> Recipe:
    """A recipe from nested tables; one RecipeError names all its faults.

    If all faults are in ``overridden`` keys, the error names ``--set`` instead of ``where``.
    """
    settings = _with_findings_of_all(settings, where)
    try:
        # Strict, and through JSON, whose types are TOML's: epochs = "3" is a mistake.
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
            f"has a number or a table that is too large or too deep ({error})", where=where
        ) from None


def _with_findings_of_all(settings: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """With ``datasets``, ``dataset`` holds what their network learns: the findings of all.

    Raises:
        RecipeError: ``dataset`` or ``labels`` is there too.
    """
    several = settings.get("datasets")
    if not isinstance(several, list) or not several:
        return settings
    both = [name for name in ("dataset", "labels") if settings.get(name)]
    if both:
        raise RecipeError(
            f"has both datasets and {' and '.join(both)}",
            where=where,
            why="Several data sets stand in the place of the one",
            remedy=f"Move the keys of {' and '.join(both)} into one of datasets, or remove them.",
        )
    findings: list[Any] = []
    for entry in several:
        own = entry.get("findings") if isinstance(entry, Mapping) else None
        for name in FINDINGS if own is None else own if isinstance(own, list) else ():
            known = canonical_finding(name) if isinstance(name, str) else None
            findings.append(known or name)
    is_partial = any(isinstance(one, Mapping) and one.get("partial") is True for one in several)
    learnt = [name for place, name in enumerate(findings) if name not in findings[:place]]
    return {**settings, "dataset": {"findings": learnt or list(FINDINGS), "partial": is_partial}}


def recipe_toml(recipe: Recipe) -> str:
    """The complete recipe, defaults included, as TOML."""
    return tomli_w.dumps(as_toml_values(recipe))


def differences(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Key -> (value before, value after), for every key whose value differs."""
    old, new = flat_values(before), flat_values(after)
    return {
        key: (old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    }


def _recipe_text(name_or_path: str | Path) -> tuple[str, str, Path]:
    path = Path(name_or_path)
    shipped, broken = shipped_recipes(), broken_recipes()
    known = shipped | broken
    if str(name_or_path) in known:  # whatever lies in the working directory under that name
        return known[str(name_or_path)], f"recipe {name_or_path}", Path.cwd()
    _refuse_data_set(path)
    try:
        text = read_regular(path, _MAX_RECIPE_BYTES).decode("utf-8-sig")
        return text, str(path), path.resolve().parent
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(
            "there is no such recipe",
            where=name_or_path,
            remedy=did_you_mean(str(name_or_path), known)
            or f"Give a path or one of: {', '.join(shipped)}. Broken on purpose, to show the "
            f"health checks: {', '.join(broken)}.",
        ) from None
    except UnicodeDecodeError:
        raise RecipeError("is not UTF-8 text", where=path, remedy="Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise RecipeError(f"can't be read ({what})", where=name_or_path) from None


def _refuse_data_set(path: Path) -> None:
    """Raises RecipeError for a folder of images, or a label table, in place of a recipe."""
    is_table = path.name.lower().endswith((".csv", ".csv.gz", ".csv.zip"))
    # Path.is_dir raises for folders that can't be entered.
    if os.path.isdir(path) or (is_table and os.path.isfile(path)):  # noqa: PTH112, PTH113
        key = "labels" if is_table else "images"
        raise RecipeError(
            f"is {'a label table' if is_table else 'a folder'}, not a recipe",
            where=path,
            remedy=f"Name a recipe, such as nih-14, and change it: --set "
            f"{shlex.quote(f'dataset.{key}={path}')}",
        )


def _parsed(text: str, where: str) -> dict[str, Any]:
    if text.count(".") > _MOST_DOTS:
        raise RecipeError("has too many dots", where=where)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's error, or a number of 5,000 digits
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
        value = _override_value(single_key(key), text.strip())
        if value and single_key(key) in (*PATH_KEYS, "model.weights"):
            value = _absolute(key, str(value), Path.cwd())
        _put(settings, key, value)
    return settings


def _override_value(key: str, text: str) -> Any:
    """The value as TOML if it is valid, else as text; ``none`` clears an optional key."""
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
    if key in list_keys():
        return [name.strip() for name in text.split(",") if name.strip()]
    return text


def single_key(key: str) -> str:
    """A key as of a single data set: ``dataset.images`` for ``datasets.0.images``."""
    return re.sub(r"^datasets\.\d+\.", "dataset.", key)


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    table = settings
    if sections[:1] == ["datasets"] and len(sections) > 1:
        table = _entry_of(settings, sections[1])
        sections = sections[2:]
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"must be a table, got {inner!r}", where=section)
        table = inner
    if value is None:
        table.pop(last, None)
    else:
        table[last] = value


def _entry_of(settings: dict[str, Any], number: str) -> dict[str, Any]:
    """The table of ``datasets.N``; the one after the last is added."""
    several = settings.setdefault("datasets", [])
    if not isinstance(several, list) or not number.isdecimal() or int(number) > len(several):
        raise RecipeError(
            f"there is no datasets.{number}",
            where=f"--set datasets.{number}",
            remedy=f"The recipe has {len(several)} of them, counted from 0.",
        )
    if int(number) == len(several):
        several.append({})
    entry = several[int(number)]
    if not isinstance(entry, dict):
        raise RecipeError(f"must be a table, got {entry!r}", where=f"datasets.{number}")
    return entry


def _make_paths_absolute(settings: dict[str, Any], folder: Path) -> None:
    several = settings.get("datasets")
    for entry in several if isinstance(several, list) else ():
        _make_paths_absolute({"dataset": entry}, folder)
    for key in (*PATH_KEYS, "model.weights"):
        section, _, name = key.partition(".")
        table = settings.get(section)
        if isinstance(table, dict) and isinstance(table.get(name), str) and table[name]:
            _refuse_escaped(key, table[name], folder)
            table[name] = _absolute(key, table[name], folder)


def _refuse_escaped(key: str, value: str, folder: Path) -> None:
    """Raises RecipeError for ``"C:\\nih"``, which contains a newline in TOML, unless it exists."""
    escaped = not _ESCAPES.isdisjoint(value) and "\0" not in value
    if escaped and not os.path.lexists(folder / value):
        raise RecipeError(
            f"{value[:200]!r} contains a control character",
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
            f"{value[:200]!r} names the home of an unknown user",
            where=key,
            remedy="Write the full path.",
        ) from None
    try:
        path.encode()
    except UnicodeEncodeError:
        raise RecipeError(
            f"{path[-200:]!r} is not a path in UTF-8",
            where=key,
            why="A session keeps its recipe as TOML, which can't contain such a path",
            remedy="Rename that folder, or use a link to it: ln -s FOLDER nih.",
        ) from None
    return path


def as_toml_values(recipe: Recipe) -> dict[str, Any]:
    """The complete recipe as nested tables, which are valid JSON too."""
    # TOML has no null: an unset key is left out, and reads back as its default, None.
    values = recipe.model_dump(mode="json", exclude_none=True)
    if recipe.datasets:  # they stand in the place of both
        return {key: value for key, value in values.items() if key not in ("dataset", "labels")}
    return {key: value for key, value in values.items() if key != "datasets"}


def flat_values(recipe: Recipe) -> dict[str, Any]:
    """The complete recipe as dotted keys (``datasets.0.images``) and their values; unset keys are
    left out."""
    return _flat(as_toml_values(recipe))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key == "datasets":
            for number, entry in enumerate(value):
                flat |= _flat(entry, f"{prefix}{key}.{number}.")
        else:
            flat[prefix + key] = value
    return flat
