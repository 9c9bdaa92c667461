"""``cxr-tui completion SHELL``: print a script that completes commands, options and names in a
shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cxr_tui.arguments import common_parser
from cxr_tui.terminal.stdout import print_text

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    from argcomplete.shell_integration import shellcode

    arguments = parser().parse_args(argv)
    print_text(shellcode(["cxr-tui"], shell=arguments.shell))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "completion",
        "Complete commands, options, recipes, their keys and sessions with Tab. Put the example's "
        "line, with your shell's name, into ~/.bashrc or ~/.zshrc; for fish write the output to "
        "~/.config/fish/completions/cxr-tui.fish.",
        'eval "$(cxr-tui completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that you use")
    return parser
