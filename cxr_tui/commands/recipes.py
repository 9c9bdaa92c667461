"""``cxr-tui recipes``: list the shipped recipes."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence

from core.shipped_recipes import broken_recipes, shipped_recipes
from cxr_tui.arguments import add_json, common_parser
from cxr_tui.terminal.stdout import print_json, print_pairs, say


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    texts = broken_recipes() if arguments.broken else shipped_recipes()
    notes = {name: tomllib.loads(text).get("note", "") for name, text in texts.items()}
    if arguments.json:
        print_json({"recipes": [{"name": name, "note": note} for name, note in notes.items()]})
        return 0
    print_pairs(notes.items())
    say("Train one: cxr-tui --batch NAME. Change a key: --set KEY=VALUE, see cxr-tui keys.")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser("recipes", "List the shipped recipes.", "cxr-tui recipes --json")
    parser.add_argument(
        "--broken",
        action="store_true",
        help="the recipes with one fault each, to show the health checks",
    )
    add_json(parser)
    return parser
