"""A recipe's fields for a form: label, unit, choices, bounds, and the result of an edit.

Everything is derived from the recipe's own models, so a new field appears in the form. No Textual
here.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.errors import RecipeError
from core.evaluation.references import NO_REFERENCE, load_references
from core.findings import FINDINGS
from core.recipe import PARTS, PATH_KEYS, Finding, Recipe
from core.recipe_data import ColumnSettings, LabelSettings, TogetherSettings
from core.recipe_toml import changed_recipe, single_key

NOT_SET = "–"
ALL_FINDINGS = f"all {len(FINDINGS)}"

# The sections tuned most come first; the data is chosen on the screen before this one.
_SECTION_ORDER = (
    *("", "image", "model", "train", "augment"),
    *("subset", "split", "dataset", "labels", "dataset.columns", "dataset.phantom", "evaluate"),
)
_TITLES = {
    "": "recipe",
    "dataset.phantom": "synthetic data set",
    "dataset.columns": "the table's own columns",
}

_UNIT_SUFFIXES = {"_px": "px", "_deg": "°", "_minutes": "min", "_epochs": "epochs"}
_UNITS = {
    "train.plateau_patience": "epochs",
    "train.early_stopping": "epochs",
    "evaluate.bootstrap": "draws",
}
_LABELS = {"image.size_px": "image size"}

_USED_WHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "train.momentum": ("train.optimizer", ("sgd",)),
    "train.plateau_factor": ("train.schedule", ("plateau",)),
    "train.plateau_patience": ("train.schedule", ("plateau",)),
    "train.focal_gamma": ("train.loss", ("focal",)),
    "train.asymmetric_gamma": ("train.loss", ("asymmetric",)),
    "train.asymmetric_margin": ("train.loss", ("asymmetric",)),
    "train.min_positive_patients": ("train.select_best", ("auroc",)),
    "split.train": ("split.by", ("patient",)),
    "split.test": ("split.by", ("patient",)),
    "split.train_val_list": ("split.by", ("official", "lists")),
    "split.test_list": ("split.by", ("official", "lists")),
    "split.val_list": ("split.by", ("official", "lists")),
}


@dataclass(frozen=True)
class RecipeField:
    """One row of the form.

    Attributes:
        key: as in the recipe, such as ``train.learning_rate``.
        section: everything before the last dot; '' for name and note.
        choices: all possible values; empty if it is typed.
        bounds: what is allowed, in words.
        optional: whether it may be unset.
    """

    key: str
    section: str
    label: str
    unit: str
    help: str
    bounds: str
    choices: tuple[str, ...]
    optional: bool

    @property
    def section_title(self) -> str:
        """The section's name on the screen."""
        several, number, *inner = (*self.section.split("."), "", "")[:3]
        if several == "datasets":
            title = f"data set {int(number) + 1}"
            return f"{title}: {_TITLES[f'dataset.{inner[0]}']}" if inner[0] else title
        return _TITLES.get(self.section, self.section)


@cache
def recipe_fields() -> tuple[RecipeField, ...]:
    """Every field of a recipe, section by section, in the order of the form."""
    found = list(_fields_of(Recipe, ""))
    sections = list(dict.fromkeys((*_SECTION_ORDER, *(field.section for field in found))))
    return tuple(sorted(found, key=lambda field: sections.index(field.section)))


_OF_ONE = ("dataset", "labels", "dataset.columns", "dataset.phantom")


def fields_of(recipe: Recipe) -> tuple[RecipeField, ...]:
    """The fields of this recipe: with several data sets, those of each in place of the one's."""
    if not recipe.datasets:
        return recipe_fields()
    several = [
        field
        for number in range(len(recipe.datasets))
        for field in _fields_of_entry(number)
        if _is_offered(recipe, field)
    ]
    found: list[RecipeField] = []
    for field in recipe_fields():
        if field.section not in _OF_ONE:
            found.append(field)
        elif field.section == _OF_ONE[0] and several:
            found += several
            several = []
    return tuple(found)


@cache
def _fields_of_entry(number: int) -> tuple[RecipeField, ...]:
    """Those of a data set among several; its label policy is told as that of a single one."""
    policy = LabelSettings.model_fields
    found = []
    for field in _fields_of(TogetherSettings, f"datasets.{number}."):
        name = field.key.rpartition(".")[2]
        told = field.help or (policy[name].description if name in policy else None) or ""
        found.append(replace(field, help=told))
    return tuple(found)


def _is_offered(recipe: Recipe, field: RecipeField) -> bool:
    """A synthetic set where there is one, and names of columns where a table may have its own."""
    entry = value_of(recipe, ".".join(field.key.split(".")[:2]))
    if field.section.endswith(".phantom"):
        return bool(entry.phantom)
    if field.section.endswith(".columns"):
        return bool(entry.kind == "table" or entry.columns != ColumnSettings())
    return True


def value_of(recipe: Recipe, key: str) -> Any:
    """The value of a key; None if its section or its data set is not set."""
    value: Any = recipe
    for name in key.split("."):
        if isinstance(value, tuple):
            value = value[int(name)] if name.isdecimal() and int(name) < len(value) else None
        else:
            value = None if value is None else getattr(value, name)
    return value


def shown_value(recipe: Recipe, key: str) -> str:
    """The value as shown in a row."""
    value = value_of(recipe, key)
    if value == FINDINGS:
        return ALL_FINDINGS
    return typed_value(recipe, key) or NOT_SET


def typed_value(recipe: Recipe, key: str) -> str:
    """The value as one would type it; '' if it is not set."""
    value = value_of(recipe, key)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, Mapping):
        return _inline_table(value)
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _inline_table(value: Mapping[str, Any]) -> str:
    """Findings' own policies as TOML, such as ``{Edema = {uncertain = "ones"}}``; '' if none."""
    each = []
    for name, labels in value.items():
        own = labels.model_dump(exclude_none=True)
        settings = ", ".join(f'{key} = "{choice}"' for key, choice in own.items())
        each.append(f'"{name}" = {{{settings}}}')
    return f"{{{', '.join(each)}}}" if each else ""


def edited_recipe(recipe: Recipe, key: str, text: str) -> Recipe:
    """The recipe with a field as typed.

    If a value alone would contradict another, the other is changed too: shares again add up to 1,
    paths replace the synthetic set and vice versa, a prevalence is cleared with its finding.

    Raises:
        RecipeError: the value is invalid; ``words_at_field`` gives the reason next to the field.
    """
    change = f"{key}={_as_override(key, text.strip())}"
    try:
        return changed_recipe(recipe, [change])
    except RecipeError:
        others = _giving_way(recipe, key, text.strip())
        if not others:
            raise
        try:
            return changed_recipe(recipe, [change, *others])
        except RecipeError:
            pass
        raise


def words_at_field(error: RecipeError, key: str) -> str:
    """What is wrong, without the key that is already shown next to it."""
    section = key.rpartition(".")[0]
    words = error.what
    in_all = f"datasets.{key.rpartition('.')[2]}"  # as faults of several data sets are named
    for prefix in (f"{key}: ", f"{key} ", f"{section} ", f"{in_all}: ", f"{in_all} "):
        if words.startswith(prefix):
            return words.removeprefix(prefix)
    return words


def unused_because(recipe: Recipe, key: str) -> str:
    """Why the run will not use this field; '' if it will."""
    if key not in _USED_WHERE:
        return ""
    other, where = _USED_WHERE[key]
    value = value_of(recipe, other)
    return "" if value in where else f"not used if {other} is {value}"


def _fields_of(model: type[BaseModel], prefix: str) -> Iterator[RecipeField]:
    for name, field in model.model_fields.items():
        if name == "datasets":  # a list of tables: written in a file
            continue
        section = _section_type(field.annotation)
        if section is not None:
            yield from _fields_of(section, f"{prefix}{name}.")
        else:
            yield _field(f"{prefix}{name}", name, field)


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if typing.get_origin(annotation) is dict:
        return None
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _field(key: str, name: str, field: FieldInfo) -> RecipeField:
    optional = type(None) in typing.get_args(field.annotation)
    suffix = next((suffix for suffix in _UNIT_SUFFIXES if name.endswith(suffix)), "")
    return RecipeField(
        key=key,
        section=key.rpartition(".")[0],
        label=_LABELS.get(key, name.removesuffix(suffix).replace("_", " ")),
        unit=_UNITS.get(key, _UNIT_SUFFIXES.get(suffix, "")),
        help=field.description or "",
        bounds=_bounds(field, optional=optional),
        choices=_choices(key, field),
        optional=optional,
    )


def _choices(key: str, field: FieldInfo) -> tuple[str, ...]:
    if key == "evaluate.reference":
        return (NO_REFERENCE, *load_references())
    if field.annotation is bool:
        return ("false", "true")
    if typing.get_origin(field.annotation) is Literal:
        return tuple(str(choice) for choice in typing.get_args(field.annotation))
    is_union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
    if is_union and Finding in typing.get_args(field.annotation):
        return ("none", *FINDINGS)
    of_optional = [
        choice
        for choice in typing.get_args(field.annotation)
        if typing.get_origin(choice) is Literal
    ]
    if is_union and of_optional:
        return ("none", *map(str, typing.get_args(of_optional[0])))
    return ()


def _bounds(field: FieldInfo, *, optional: bool) -> str:
    """What the field's constraints allow: ``Above 0, at most 10.``"""
    words = []
    if field.annotation is int or int in typing.get_args(field.annotation):
        words.append("a whole number")
    kinds = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
    for constraint in field.metadata:
        for attribute, word in kinds:
            limit = getattr(constraint, attribute, None)
            if limit is not None:
                words.append(f"{word} {limit:,}" if isinstance(limit, int) else f"{word} {limit:g}")
    text = ", ".join(words)
    if optional:
        text = f"{text}; empty: not set" if text else "empty: not set"
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _as_override(key: str, text: str) -> str:
    """The text of a field as ``KEY=VALUE`` takes it."""
    single = single_key(key)
    if single == "dataset.findings":
        return ",".join(FINDINGS) if text.casefold() in ("all", ALL_FINDINGS) else text
    if key.endswith(".by_finding") and text == "":
        return "{}"
    may_be_unset = next(field.optional for field in _every_field(key) if field.key == key)
    return "none" if text == "" and may_be_unset and single not in PATH_KEYS else text


def _every_field(key: str) -> tuple[RecipeField, ...]:
    several, number, *_ = (*key.split("."), "")
    return _fields_of_entry(int(number)) if several == "datasets" else recipe_fields()


def _giving_way(recipe: Recipe, key: str, text: str) -> list[str]:
    """Changes of other fields that could make this one valid."""
    if key in ("split.by", "split.train", "split.val", "split.test"):
        return _shares_giving_way(recipe, key, text)
    own = key[: len(key) - len(single_key(key)) + len("dataset")]
    if single_key(key) in ("dataset.labels", "dataset.images", "dataset.boxes"):
        return [f"{own}.phantom=none"]
    if single_key(key).startswith("dataset.phantom."):
        return [f"{own}.labels=", f"{own}.images=", f"{own}.boxes="]
    if key == "subset.finding":
        return ["subset.prevalence=none"]
    return []


def _shares_giving_way(recipe: Recipe, key: str, text: str) -> list[str]:
    """Test gets what train and val leave; if test itself was typed, train does."""
    name = key.removeprefix("split.")
    shares = {part: getattr(recipe.split, part) for part in PARTS}
    try:
        shares |= {name: float(text)} if name in shares else {}
    except ValueError:
        return []
    gives_way = "train" if name == "test" else "test"
    rest = 1 - sum(share for part, share in shares.items() if part != gives_way)
    return [f"split.{gives_way}={round(rest, 6):g}"]
