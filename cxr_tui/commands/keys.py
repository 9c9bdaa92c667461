"""``cxr-tui keys [PATTERN]``: list the keys of a recipe with meaning, default and bounds."""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
from collections.abc import Sequence
from functools import cache
from typing import Any

from rich.padding import Padding
from rich.text import Text

from core.errors import UsageError
from core.recipe import Recipe
from core.recipe_remedies import nearest_key
from core.recipe_toml import checked_recipe
from cxr_tui.arguments import add_json, common_parser
from cxr_tui.recipe.fields import RecipeField, recipe_fields, shown_value
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import print_json, stdout_console

_MOST_CHOICES = 12


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: no key matches the pattern.
    """
    arguments = parser().parse_args(argv)
    found = [field for field in recipe_fields() if _is_meant(field, arguments.pattern)]
    if not found:
        remedy = nearest_key(arguments.pattern, [field.key for field in recipe_fields()])
        raise UsageError(
            f"no key of a recipe matches {arguments.pattern!r}",
            remedy=remedy or "cxr-tui keys lists all of them.",
        )
    if arguments.json:
        print_json({"keys": [_as_json(field) for field in found]})
        return 0
    console = stdout_console()
    for field in found:
        console.print(Text(f"{field.key} = {visible(_default(field))}", style="bold"))
        console.print(
            Padding(Text(" ".join(filter(None, (field.help, _takes(field))))), (0, 0, 0, 4))
        )
    return 0


def _is_meant(field: RecipeField, pattern: str) -> bool:
    """Whether the pattern is part of the key, a shell pattern for it, or in its description."""
    pattern = pattern.casefold().replace("-", "_")
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatch(field.key, pattern)
    return pattern in field.key or pattern.replace("_", " ") in field.help.casefold()


@cache
def _defaults() -> Recipe:
    """A default recipe with a synthetic set, whose keys have their own defaults."""
    return checked_recipe({"name": "a-recipe", "dataset": {"phantom": {}}}, "defaults")


def _default(field: RecipeField) -> str:
    return shown_value(_defaults(), field.key)


def _takes(field: RecipeField) -> str:
    if field.choices and len(field.choices) <= _MOST_CHOICES:
        return f"One of: {', '.join(field.choices)}."
    return field.bounds


def _as_json(field: RecipeField) -> dict[str, Any]:
    described = dataclasses.asdict(field)
    kept = ("key", "help", "unit", "bounds", "choices", "optional")
    return {name: described[name] for name in kept} | {"default": _default(field)}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "keys",
        "List the keys of a recipe with default, meaning and allowed values. Change one with --set "
        "KEY=VALUE, or write it in a recipe.",
        "cxr-tui keys train.*",
    )
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        default="",
        help="part of a key (rate), a shell pattern (train.*), or a word of its description",
    )
    add_json(parser)
    return parser
