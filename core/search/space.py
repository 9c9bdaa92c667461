"""Which keys a search may change, and between which bounds: a space, read from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from core.errors import RecipeError
from core.findings import did_you_mean
from core.recipe import Recipe
from core.recipe_faults import known_keys
from core.recipe_remedies import about_toml, nearest_key
from core.recipe_toml import as_toml_values, checked_recipe
from core.regular_file import read_regular
from core.shipped_recipes import toml_texts_in

Value = str | int | float | bool

_MOST_BYTES = 1_000_000
_SECTIONS = ("image.", "augment.", "model.", "train.")
_FIXED = (
    *("train.epochs", "train.seed", "train.select_best", "train.min_positive_patients"),
    *("train.few_images_first", "train.checkpoint_minutes", "train.disk_wait_minutes"),
    *("train.step", "train.resident_share", "train.micro_batch_size"),
    *("model.seen_test_patients", "model.allow_partial_weights"),
)
_WORDS = ("low", "high", "scale", "choices")
_SCALES = ("linear", "log")


@dataclass(frozen=True)
class Dimension:
    """One key of a space.

    Attributes:
        key: such as ``train.learning_rate``.
        choices: its values; () for a range.
        low, high: the ends of a range, both included.
        is_log: whether the range is drawn from evenly by factors.
        is_whole: whether its values are whole numbers.
    """

    key: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    def has(self, value: Value) -> bool:
        """Whether it could be drawn."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def as_json(self) -> dict[str, object]:
        """As the study keeps it."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "scale": "log" if self.is_log else "linear"}


@dataclass(frozen=True)
class Space:
    """The keys of a search, in the order of its file."""

    where: str
    dimensions: tuple[Dimension, ...]

    def as_json(self) -> dict[str, object]:
        """Key -> its values, as the study keeps them."""
        return {one.key: one.as_json() for one in self.dimensions}

    def values_of(self, recipe: Recipe) -> dict[str, Value] | None:
        """The recipe's own values of these keys; None if one of them is not in the space."""
        found: dict[str, Value] = {}
        for one in self.dimensions:
            section, _, name = one.key.partition(".")
            value = as_toml_values(recipe)[section].get(name)
            if value is None or not one.has(value):
                return None
            found[one.key] = value
        return found


def shipped_spaces() -> dict[str, str]:
    """Name -> TOML text of every shipped space."""
    return toml_texts_in(resources.files("core") / "search" / "spaces")


def read_space(name_or_path: str, recipe: Recipe, changed: Sequence[str] = ()) -> Space:
    """The space at a path or with a shipped name, checked against a recipe.

    Args:
        name_or_path: a file is preferred to a shipped space of that name.
        recipe: the recipe whose keys it changes.
        changed: keys that the user has fixed with ``--set``.

    Raises:
        RecipeError: no such space, not TOML, an unknown or fixed key, or a value that the recipe
            refuses. The message names file and line.
    """
    text, where = _text_of(name_or_path)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        remedy = about_toml(text, str(error))
        raise RecipeError(f"is not valid TOML: {error}", where=where, remedy=remedy) from None
    found = []
    for key, told in _leaves(tables):
        at = f"{where}:{line}" if (line := _line_of(text, key)) else where
        _refuse_key(key, at, changed)
        found.append(_checked(_dimension(key, told, at), recipe, at))
    if not found:
        raise RecipeError(
            "names no key to search",
            where=where,
            remedy="For example: [train] and learning_rate = { low = 0.0001, high = 0.01, scale = "
            '"log" }.',
        )
    return Space(where, tuple(found))


def with_values(recipe: Recipe, values: Mapping[str, Value], where: str) -> Recipe:
    """The recipe with these keys' values.

    Raises:
        RecipeError: it refuses one.
    """
    settings = as_toml_values(recipe)
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (settings.setdefault(section, {}) if section else settings)[name] = value
    return checked_recipe(settings, where)


def _text_of(name_or_path: str) -> tuple[str, str]:
    path, shipped = Path(name_or_path), shipped_spaces()
    if name_or_path in shipped and not path.is_file():
        return shipped[name_or_path], f"space {name_or_path}"
    try:
        return read_regular(path, _MOST_BYTES).decode("utf-8-sig"), name_or_path
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(
            "there is no such space",
            where=name_or_path,
            remedy=did_you_mean(name_or_path, shipped)
            or f"Give a TOML file or one of: {', '.join(shipped)}.",
        ) from None
    except UnicodeDecodeError:
        raise RecipeError("is not UTF-8 text", where=path, remedy="Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise RecipeError(f"can't be read ({what})", where=name_or_path) from None


def _leaves(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key with what is said of it: a table of our words, or anything else."""
    for name, told in table.items():
        is_section = isinstance(told, Mapping) and f"{prefix}{name}." in _SECTIONS
        if isinstance(told, Mapping) and (is_section or any(map(_is_table, told.values()))):
            yield from _leaves(told, f"{prefix}{name}.")
        else:
            yield prefix + name, told


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _line_of(text: str, key: str) -> int | None:
    """The line of a key: below its section's head, or with its whole name."""
    section, _, name = key.rpartition(".")
    at = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if head := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            at = head[1].replace('"', "").replace(" ", "")
            if at == key:
                return number
        word = re.match(r"\s*([^=#]+?)\s*=", line)
        told = word[1].replace('"', "").replace("'", "").replace(" ", "") if word else ""
        if told and (f"{at}.{told}" if at else told) in (key, f"{key}.low", f"{key}.choices"):
            return number
        if told == section and not at and name in line:
            return number
    return None


def _refuse_key(key: str, at: str, changed: Sequence[str]) -> None:
    known = list(known_keys())
    if key not in known:
        may = [name for name in known if _may_vary(name)]
        raise RecipeError(
            f"unknown key {key}",
            where=at,
            remedy=nearest_key(key, may) or "cxr-tui keys lists all keys of a recipe.",
        )
    if key in changed:
        raise RecipeError(
            f"{key} is fixed by --set",
            where=at,
            why="A search can't change what is fixed",
            remedy="Remove the key here, or the --set.",
        )
    if not _may_vary(key):
        raise RecipeError(
            f"{key} is fixed in a search",
            where=at,
            why="Trials are compared on the same data, by the same figure and for as many epochs",
            remedy="A space may name keys of image, augment, model and train that change what is "
            "learnt, such as train.learning_rate.",
        )


def _may_vary(key: str) -> bool:
    return key.startswith(_SECTIONS) and key not in _FIXED


def _dimension(key: str, told: object, at: str) -> Dimension:
    if not isinstance(told, Mapping):
        raise RecipeError(
            f"{key} must be a table, got {told!r}",
            where=at,
            remedy=f"Write {key.rpartition('.')[2]} = {{ low = …, high = … }} or "
            "{ choices = [ … ] }.",
        )
    if odd := [word for word in told if word not in _WORDS]:
        remedy = did_you_mean(odd[0], _WORDS) or f"Known here: {', '.join(_WORDS)}."
        raise RecipeError(f"{key} has an unknown word {odd[0]!r}", where=at, remedy=remedy)
    if "choices" in told:
        return _of_choices(key, told, at)
    return _of_range(key, told, at)


def _of_choices(key: str, told: Mapping[str, object], at: str) -> Dimension:
    choices = told["choices"]
    if len(told) > 1:
        raise RecipeError(
            f"{key} has both choices and {next(word for word in told if word != 'choices')}",
            where=at,
            remedy="Keep one of them.",
        )
    if not isinstance(choices, list) or len(choices) < 2 or len(set(map(repr, choices))) < 2:
        raise RecipeError(f"{key}: choices must be a list of two or more values", where=at)
    if odd := [one for one in choices if not isinstance(one, str | int | float | bool)]:
        raise RecipeError(f"{key}: {odd[0]!r} can't be a choice", where=at)
    if len(set(map(repr, choices))) < len(choices):
        raise RecipeError(f"{key}: choices names a value twice", where=at)
    return Dimension(key, tuple(choices))


def _of_range(key: str, told: Mapping[str, object], at: str) -> Dimension:
    ends = []
    for word in ("low", "high"):
        end = told.get(word)
        if isinstance(end, bool) or not isinstance(end, int | float):
            what = f"lacks {word}" if end is None else f"{word} must be a number, got {end!r}"
            remedy = "A key has low and high, or choices."
            raise RecipeError(f"{key} {what}", where=at, remedy=remedy)
        ends.append(end)
    low, high = ends
    scale = told.get("scale", "linear")
    if scale not in _SCALES:
        raise RecipeError(f"{key}: scale must be linear or log, got {scale!r}", where=at)
    if not low < high:
        raise RecipeError(f"{key}: low must be below high, got {low} and {high}", where=at)
    if scale == "log" and low <= 0:
        raise RecipeError(f"{key}: low must be above 0 on a log scale, got {low}", where=at)
    return Dimension(key, (), low, high, scale == "log", _is_whole(key))


def _is_whole(key: str) -> bool:
    """Whether the recipe takes whole numbers alone here."""
    section, _, name = key.partition(".")
    model = type(getattr(Recipe(), section))
    return "float" not in str(model.model_fields[name].annotation)


def _checked(one: Dimension, recipe: Recipe, at: str) -> Dimension:
    ends = (one.low, one.high)
    if one.is_whole and not one.choices:
        if any(end != int(end) for end in ends):
            raise RecipeError(f"{one.key} takes whole numbers, got {ends}", where=at)
        ends = (int(one.low), int(one.high))
    for value in one.choices or ends:
        with_values(recipe, {one.key: value}, at)
    return one


__all__ = ["Dimension", "Space", "Value", "read_space", "shipped_spaces", "with_values"]
