"""``cxr-tui config``: print a commented config.toml to edit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cxr_tui.arguments import common_parser
from cxr_tui.config import config_path, config_template
from cxr_tui.terminal.stdout import print_text, say


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser().parse_args(argv)
    print_text(config_template())
    say(f"cxr-tui reads {config_path()}; cxr-tui doctor says what it found there.")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    return common_parser(
        "config",
        "Print your own settings (places, device, theme, what to do at a run's end) as a "
        "config.toml in which every line is a comment: remove the # and choose other values.",
        "cxr-tui config > config.toml",
    )
