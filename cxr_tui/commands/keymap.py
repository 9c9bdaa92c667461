"""``cxr-tui keymap``: print the console's keys as a commented keys.toml to edit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cxr_tui.app.keymap import keymap_path, keymap_template
from cxr_tui.arguments import common_parser
from cxr_tui.terminal.stdout import print_text, say


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser().parse_args(argv)
    print_text(keymap_template())
    say(f"The console reads {keymap_path()}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    return common_parser(
        "keymap",
        "Print the console's keys as a keys.toml in which every line is a comment: remove the # "
        "and choose other keys.",
        "cxr-tui keymap > keys.toml",
    )
