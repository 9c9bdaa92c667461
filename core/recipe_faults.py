"""What is wrong with a recipe's settings, in sentences that start with the key."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from core.errors import RecipeError
from core.findings import did_you_mean
from core.recipe import Recipe
from core.recipe_remedies import about_a_number, nearest_key

_LONGEST_VALUE = 200
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
    "too_long": "names more than there are",
    "string_too_short": "must not be empty",
}


def known_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """Every key of a recipe, such as ``train.learning_rate``, in the order of the recipe."""
    for name, field in model.model_fields.items():
        section = _section_type(field.annotation)
        if section is None:
            yield prefix + name
        else:
            yield from known_keys(section, f"{prefix}{name}.")


def check_key(key: str) -> None:
    """Refuse a key that no recipe has.

    Raises:
        RecipeError: there is none; the nearest are named.
    """
    known = list(known_keys())
    ancestors = {".".join(name.split(".")[:depth]) for name in known for depth in (1, 2)}
    if key not in known and key not in ancestors:
        raise RecipeError(
            "unknown key", where=f"--set {key}", remedy=_nearest_key(key) or _keys_beside(key)
        )


def _section_type(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _nearest_key(key: str) -> str:
    return nearest_key(key, list(known_keys()))


def _keys_beside(key: str) -> str:
    section = key.rpartition(".")[0]
    beside = [name for name in known_keys() if name.rpartition(".")[0] == section]
    return f"Known here: {', '.join(beside)}." if beside else ""


def fault_of(error: dict[str, Any]) -> str:
    """One fault of a pydantic report, in a sentence that starts with the key."""
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
            f"{key} holds letters, digits, dots, dashes and underscores, at most 80 of them, and "
            f"begins with a letter or a digit{got}"
        )
    said = f"{key} {_PLAIN_TYPES.get(kind, error['msg'][:1].lower() + error['msg'][1:])}{got}"
    if kind in _OF_NUMBERS and (remedy := about_a_number(value)):
        return f"{said}. {remedy.removesuffix('.')}"
    return said


def key_of(error: Mapping[str, Any]) -> str:
    """The key that a fault of a pydantic report is about; '' where it is the whole."""
    parts = (str(part)[:_LONGEST_VALUE] for part in error["loc"] if not isinstance(part, int))
    return ".".join(parts)


def _shortened(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…"


def _nearest_choice(value: Any, limits: Mapping[str, Any]) -> str:
    choices = [part.strip("' ") for part in limits["expected"].replace(" or ", ",").split(",")]
    return did_you_mean(value, choices) if isinstance(value, str) else ""
