"""Arguments shared by several commands."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import platformdirs

from cxr_tui.config import user_config
from cxr_tui.leftover_words import refuse_left_over
from cxr_tui.terminal.safe_text import visible

_DEFAULTS = {"sessions": "sessions", "cache": None, "device": "auto", "on_end": None}
"""Options that config.toml and the environment can set too -> their defaults."""


class WrappedHelp(argparse.HelpFormatter):
    """Wraps a description's lines to the terminal's width, except indented ones such as
    examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            line if line.startswith(" ") else textwrap.fill(line, width)
            for line in text.splitlines()
        )


class PlainParser(argparse.ArgumentParser):
    """A parser whose errors show what was typed without control characters."""

    def parse_args(  # type: ignore[override]  # argparse has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse; unknown arguments are refused with the most similar ones."""
        arguments, left_over = self.parse_known_args(args, namespace)
        refuse_left_over(self, arguments, left_over)
        return arguments

    def parse_known_args(  # type: ignore[override]  # likewise
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; an option that was not given takes the user's setting, then its default."""
        arguments, left_over = super().parse_known_args(args, namespace)
        missing = [name for name in _DEFAULTS if getattr(arguments, name, "") is None]
        values = user_config().values if missing else {}
        for name in missing:
            made = Path if name in ("sessions", "cache") else str
            value = values.get(name, _DEFAULTS[name])
            setattr(arguments, name, None if value is None else made(value))
        return arguments, left_over

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit with a message."""
        super().exit(status, message and visible(message))


def common_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A command's parser, with its example at the end of --help."""
    return PlainParser(
        prog=f"cxr-tui {name}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=WrappedHelp,
        allow_abbrev=False,
    )


def add_places(parser: argparse.ArgumentParser) -> None:
    """--sessions and --cache."""
    add_sessions(parser)
    add_cache(parser)


def add_sessions(parser: argparse.ArgumentParser) -> None:
    """--sessions."""
    parser.add_argument(
        "--sessions",
        metavar="DIR",
        type=folder,
        default=None,
        help="where sessions are kept (default: ./sessions)",
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache."""
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=folder,
        default=None,
        help="where decoded images are kept (default: the user's cache folder)",
    )


def add_changes(parser: argparse.ArgumentParser, when: str = "") -> None:
    """--set."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"change a key of the recipe; may be repeated{when} (cxr-tui keys lists them)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument(
        "--device", metavar="NAME", default=None, help="auto, cpu, cuda, cuda:1, mps"
    )


def add_on_end(parser: argparse.ArgumentParser) -> None:
    """--on-end."""
    parser.add_argument(
        "--on-end",
        metavar="COMMAND",
        type=named,
        help="run this in a shell when a run ends, whatever its end; it finds CXR_SESSION, "
        "CXR_STATE, CXR_EXIT_CODE and CXR_MEAN_AUROC in its environment",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def cache_folder(given: Path | None) -> Path:
    """The folder of --cache, or the user's cache folder."""
    return (given or platformdirs.user_cache_path("cxr-tui")).absolute()


def folder(text: str) -> Path:
    """A folder's path; empty is refused, since it would mean the working folder."""
    return Path(named(text))


def named(text: str) -> str:
    """A non-empty name."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: is the variable set that should hold it?")
    return text


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """An option's type: a whole number within bounds."""

    def checked(text: str) -> int:
        is_whole = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not (is_whole and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f"a whole number from {least} to {most:,}, got {text!r}"
            )
        return int(text)

    return checked
