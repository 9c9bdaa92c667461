"""Answers of the command line to a shell that completes it; see ``cxr-tui completion``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import argcomplete
from argcomplete.completers import DirectoriesCompleter, FilesCompleter

_WORDS_BEFORE = "_ARGCOMPLETE"
"""Set by the shell: which word of its line our own options begin at."""


def command_typed() -> str:
    """The first word after the program's name, as far as the cursor."""
    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0") or 0)]
    words = line.split()[1:]
    is_done = len(words) > 1 or line[-1:].isspace()
    return words[0] if words and is_done else ""


def answer(parser: argparse.ArgumentParser, commands: Iterable[str] = ()) -> None:
    """Write what could come next, and end the process.

    Args:
        parser: of the program, or of the command that was typed.
        commands: that the first word may be; none where it is a command already.
    """
    for action in _actions_of(parser):
        completer = _COMPLETERS.get(str(action.metavar))
        if action.dest == "command":
            completer = lambda **_: list(commands)  # noqa: E731 - one of a table's values
            action.help = "a command"  # what is suppressed is not completed
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]  # argcomplete's own place
    if not commands:
        os.environ[_WORDS_BEFORE] = "2"  # the command's name stands for the program's
    argcomplete.autocomplete(parser)


def _actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The parser's own, and those of its sub-commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions_of(inner)


def _recipes(prefix: str, **_: object) -> list[str]:
    from core.shipped_recipes import broken_recipes, shipped_recipes

    names = [*shipped_recipes(), *(broken_recipes() if prefix.startswith("broken") else ())]
    return [*names, *FilesCompleter(["toml"])(prefix)]


def _keys(prefix: str, **_: object) -> list[str]:
    from cxr_tui.recipe.fields import recipe_fields

    key, is_set, _value = prefix.partition("=")
    if is_set:
        choices = next((field.choices for field in recipe_fields() if field.key == key), ())
        return [f"{key}={choice}" for choice in choices]
    return [f"{field.key}=" for field in recipe_fields()]


def _sessions(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from core.store.sessions import list_sessions

    folder = getattr(parsed_args, "sessions", None) or Path("sessions")
    return [session.name for session in list_sessions(folder)]


def _findings(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The session's, once it is typed; else NIH's."""
    from core.errors import CxrError
    from core.findings import FINDINGS
    from core.store.sessions import open_session

    folder = getattr(parsed_args, "sessions", None) or Path("sessions")
    name = getattr(parsed_args, "session", None)
    name = name[0] if isinstance(name, list) and name else name
    try:
        return list(open_session(name, folder).recipe.dataset.findings if name else FINDINGS)
    except CxrError:
        return list(FINDINGS)


_COMPLETERS: dict[str, Callable[..., Iterable[str]]] = {
    "RECIPE": _recipes,
    "KEY=VALUE": _keys,
    "SESSION": _sessions,
    "RUN": _sessions,
    "FINDING": _findings,
    "DIR": DirectoriesCompleter(),
    "FILE": FilesCompleter(),
    "FILE.csv": FilesCompleter(["csv"]),
    "FILE.png": FilesCompleter(["png"]),
}
"""Metavar of an option -> what it can be."""
