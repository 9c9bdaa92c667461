"""Words of a command line that nothing takes: what was probably meant."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from core.errors import UsageError
from core.findings import did_you_mean

_TO_TRAIN = ("train", "run", "fit", "start", "batch", "training")
_OPTIONS_AS_WORDS = ("resume", "attach", "check", "help", "json")


def refuse_left_over(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, left_over: Sequence[str]
) -> None:
    """Ends by the parser's error where a command was given more than it takes.

    Raises:
        UsageError: a change of the recipe has no value.
    """
    if not left_over:
        return
    changes: list[str] = getattr(arguments, "set", None) or []
    without_value = next((change for change in changes if "=" not in change), None)
    if without_value is not None:
        value = next((word for word in left_over if word != "="), "VALUE")
        raise UsageError(
            f"--set takes KEY=VALUE, got {without_value!r}",
            remedy=f"Write them as one: --set {without_value}={value}",
        )
    takes_changes = hasattr(arguments, "set")
    meant = _of_an_option(left_over, takes_changes=takes_changes)
    meant = meant or (takes_changes and _of_a_place(left_over[0])) or ""
    parser.error(f"unrecognized arguments: {' '.join(left_over)}{meant and f'. {meant}.'}")


def refuse_unknown_command(name: str, others: Sequence[str], commands: Sequence[str]) -> None:
    """Raises UsageError for a first word that is no command."""
    from core.shipped_recipes import broken_recipes, shipped_recipes  # not for --help

    recipes = shipped_recipes() | broken_recipes()
    if name in _TO_TRAIN:
        recipe = next((word for word in others if not word.startswith("-")), "RECIPE")
        remedy = f"To train: cxr-tui --batch {recipe}"
    elif name in recipes or Path(name).suffix == ".toml":
        remedy = f"To train it: cxr-tui --batch {name}"
    elif name in _OPTIONS_AS_WORDS:
        remedy = f"It is an option: cxr-tui --{name}"
    else:
        remedy = _of_a_place(name) or did_you_mean(name, commands)
    raise UsageError(
        f"unknown command {name!r}", remedy=remedy or f"There are: {', '.join(commands)}."
    )


def _of_a_place(name: str) -> str:
    """A folder or table that was named without its key; '' where there is none."""
    if os.path.isdir(name):  # noqa: PTH112 - Path's raises for what can't be entered
        return f"To open a data set: --set dataset.images={shlex.quote(name)}"
    if os.path.isfile(name) and name.lower().endswith((".csv", ".csv.gz", ".zip")):  # noqa: PTH113 - the same
        return f"To open a data set by its table: --set dataset.labels={shlex.quote(name)}"
    return ""


def _of_an_option(left_over: Sequence[str], *, takes_changes: bool) -> str:
    """A recipe's key that was given as an option; '' where it is none."""
    option, _, value = left_over[0].partition("=")
    if not takes_changes or not option.startswith("--"):
        return ""
    from core.recipe_faults import known_keys
    from core.recipe_remedies import nearest_key  # not for --help

    known = list(known_keys())
    name = option.removeprefix("--").replace("-", "_")
    key = name if name in known else nearest_key(name, known).partition("'")[2].partition("'")[0]
    value = value or next((word for word in left_over[1:] if not word.startswith("-")), "VALUE")
    return f"Keys of a recipe are changed by --set, such as --set {key}={value}" if key else ""
