"""What several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import platformdirs

from cxr_tui.leftover_words import refuse_left_over
from cxr_tui.terminal.safe_text import visible


class PlainParser(argparse.ArgumentParser):
    """Whose errors say what was typed without a character that steers a terminal."""

    def parse_args(  # type: ignore[override]  # argparse has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """The arguments; words that nothing takes are refused with what was probably meant."""
        arguments, left_over = self.parse_known_args(args, namespace)
        refuse_left_over(self, arguments, left_over)
        return arguments

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End, with what was wrong."""
        super().exit(status, message and visible(message))


def common_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A command's parser, with its example at the end of --help."""
    return PlainParser(
        prog=f"cxr-tui {name}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_places(parser: argparse.ArgumentParser) -> None:
    """--sessions and --cache."""
    parser.add_argument(
        "--sessions",
        metavar="DIR",
        type=folder,
        default=Path("sessions"),
        help="where sessions are kept (default ./sessions)",
    )
    add_cache(parser)


def add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache."""
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=folder,
        default=None,
        help="where decoded images are kept (default: the user's cache folder)",
    )


def cache_folder(given: Path | None) -> Path:
    """The folder of --cache, or the user's cache folder."""
    return (given or platformdirs.user_cache_path("cxr-tui")).absolute()


def folder(text: str) -> Path:
    """A folder that was named; an empty name would be the one that the shell stands in."""
    return Path(named(text))


def named(text: str) -> str:
    """A name that is there."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: is the variable set that was to name it?")
    return text
