"""Messages about a recipe's invalid settings, each starting with the key."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from core.errors import RecipeError
from core.findings import did_you_mean
from core.recipe import Recipe
from core.recipe_remedies import about_a_number, nearest_key

_LONGEST_VALUE = 200
_TABLES_BY_NAME = ("labels.by_finding", "datasets.by_finding")
"""Keys of which each is a table with keys of its own, checked with the whole recipe."""

_OF_NUMBERS = ("int_type", "int_parsing", "float_type", "float_parsing")
_PLAIN_TYPES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "tuple_type": 'must be a list such as ["Mass", "Nodule"] or ["train", "val"]',
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "path_type": "must be a path",
    "too_short": "must name at least one",
    "too_long": "names too many",
    "string_too_short": "must not be empty",
}


def known_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """Every key of a recipe, such as ``train.learning_rate``, in order."""
    return (key for key, _ in _keys_and_types(model, prefix))


@lru_cache(maxsize=1)
def list_keys() -> frozenset[str]:
    """The keys whose value is a list, such as ``dataset.findings``."""
    return frozenset(
        key
        for key, kind in _keys_and_types(Recipe, "")
        if any(typing.get_origin(one) is tuple for one in (kind, *typing.get_args(kind)))
    )


@lru_cache(maxsize=1)
def _keys_and_tables() -> frozenset[str]:
    """The keys of a recipe, and the tables that they stand in."""
    return frozenset(
        ".".join(names[:depth])
        for names in (key.split(".") for key in known_keys())
        for depth in range(1, len(names) + 1)
    )


def _keys_and_types(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        section = _section_type(field.annotation)
        if section is None:
            yield prefix + name, field.annotation
        else:
            yield from _keys_and_types(section, f"{prefix}{name}.")


def check_key(key: str) -> None:
    """Refuse an unknown key.

    Raises:
        RecipeError: the key is unknown; the message names the nearest ones.
    """
    key = _of_any(key)
    is_of_a_finding = any(key.startswith(f"{table}.") for table in _TABLES_BY_NAME)
    if key not in _keys_and_tables() and not is_of_a_finding:
        raise RecipeError(
            "unknown key", where=f"--set {key}", remedy=_nearest_key(key) or _keys_beside(key)
        )


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if typing.get_origin(annotation) is dict:
        return None
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _of_any(key: str) -> str:
    """``datasets.partial`` for ``datasets.1.partial``."""
    return re.sub(r"^datasets\.\d+(?=\.)", "datasets", key)


def _nearest_key(key: str) -> str:
    return nearest_key(_of_any(key), list(known_keys()))


def _keys_beside(key: str) -> str:
    section = _of_any(key).rpartition(".")[0]
    beside = [name for name in known_keys() if name.rpartition(".")[0] == section]
    return f"Known here: {', '.join(beside)}." if beside else ""


def fault_of(error: dict[str, Any]) -> str:
    """The message for one pydantic error, starting with the key."""
    key = key_of(error) or "the recipe"
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    got = f", got {_shortened(value)}" if not isinstance(value, Mapping) else ""
    bounds = {
        "greater_than": ("must be above", "gt"),
        "greater_than_equal": ("must be at least", "ge"),
        "less_than": ("must be below", "lt"),
        "less_than_equal": ("must be at most", "le"),
    }
    if kind == "extra_forbidden":
        return f"{key}: unknown key{got}. {_nearest_key(key) or _keys_beside(key)}".rstrip()
    if kind in bounds:
        words, limit = bounds[kind]
        return f"{key} {words} {limits[limit]:g}{got}"
    if kind == "literal_error":
        return f"{key} must be {limits['expected']}{got}. {_nearest_choice(value, limits)}".rstrip()
    if kind == "value_error":
        section_wide = isinstance(value, BaseModel | Mapping)
        return (
            f"{key} {limits['error']}"
            if section_wide
            else f"{key}: {_shortened(value)} {limits['error']}"
        )
    if kind == "string_pattern_mismatch":
        return (
            f"{key} must have letters, digits, dots, dashes and underscores only, at most 80, and "
            f"begin with a letter or a digit{got}"
        )
    said = f"{key} {_PLAIN_TYPES.get(kind, error['msg'][:1].lower() + error['msg'][1:])}{got}"
    if kind in _OF_NUMBERS and (remedy := about_a_number(value)):
        return f"{said}. {remedy.removesuffix('.')}"
    return said


def key_of(error: Mapping[str, Any]) -> str:
    """The key of a pydantic error; '' if it is about the whole recipe.

    An entry of ``datasets`` has its number; one of a list of words has none.
    """
    place = error["loc"]
    of_an_entry = 1 if place[:1] == ("datasets",) else None
    return ".".join(
        str(part)[:_LONGEST_VALUE]
        for depth, part in enumerate(place)
        if depth == of_an_entry or not isinstance(part, int)
    )


def _shortened(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…"


def _nearest_choice(value: Any, limits: Mapping[str, Any]) -> str:
    choices = [part.strip("' ") for part in limits["expected"].replace(" or ", ",").split(",")]
    return did_you_mean(value, choices) if isinstance(value, str) else ""
