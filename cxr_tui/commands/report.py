"""``cxr-tui report NAME…``: a session as one HTML file for a supervisor or a referee."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.store.sessions import open_session
from cxr_tui.arguments import (
    add_cache,
    add_json,
    add_sessions,
    cache_folder,
    common_parser,
    named,
)
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import print_json, print_text, say

if TYPE_CHECKING:
    from core.document.report import Format


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    sessions = [open_session(name, arguments.sessions) for name in arguments.session]
    from core.document.report import default_path, write_report  # numpy: not for --help

    form: Format = arguments.form
    path = Path(arguments.out) if arguments.out else default_path(sessions, form)
    written = write_report(
        sessions,
        path,
        cache_folder(arguments.cache),
        form,
        with_images=not arguments.no_images,
        told=say,
    )
    if arguments.json:
        print_json({"path": str(written.path), "size_bytes": written.size_bytes})
    else:
        print_text(f"{visible(str(written.path))}\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "report",
        "Write a session's report as one HTML file that opens offline and prints: flow of "
        "patients, parts, recipe, curves, results with intervals, most wrong images, and the "
        "items of CLAIM 2024 and TRIPOD+AI that it answers. Several sessions in one file too.",
        "cxr-tui report NAME --out report.html",
    )
    parser.add_argument(
        "session", metavar="SESSION", nargs="+", type=named, help="its name or its folder"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=named,
        help="the file to write (default: NAME-report.html in the session's folder)",
    )
    forms = parser.add_mutually_exclusive_group()
    for name, what in (("markdown", "Markdown"), ("latex", "LaTeX")):
        forms.add_argument(
            f"--{name}",
            dest="form",
            action="store_const",
            const=name,
            help=f"the tables alone, as {what}",
        )
    parser.set_defaults(form="html")
    parser.add_argument(
        "--no-images",
        action="store_true",
        help="without pictures and names of images, for data that must not leave",
    )
    add_sessions(parser)
    add_cache(parser)
    add_json(parser)
    return parser
