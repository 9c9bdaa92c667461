"""``cxr-tui export SESSION DIR``: the network for other programs, with its contract and card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from core.store.sessions import open_session
from core.words import number_of
from cxr_tui.arguments import (
    add_cache,
    add_json,
    add_sessions,
    cache_folder,
    common_parser,
    folder,
    named,
)
from cxr_tui.terminal.stdout import print_json, print_pairs, say


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    session = open_session(arguments.session, arguments.sessions)
    from core.export.export import FILES, export_session  # torch: not for --help

    done = export_session(session, arguments.dir, cache_folder(arguments.cache), say)
    if arguments.json:
        print_json(asdict(done) | {"folder": str(done.folder), "files": list(FILES)})
        return 0
    takes = (
        "8-bit grey of any size"
        if done.begins_at == "image"
        else "8-bit grey at the input size; load.py resizes"
    )
    print_pairs(
        [
            ("folder", str(done.folder)),
            ("files", ", ".join(FILES)),
            ("model.onnx", f"takes {takes}"),
            (
                "checked",
                f"{number_of(done.images, 'val image')} in onnxruntime: at most "
                f"{done.largest_difference:.1e} from the network's probability",
            ),
        ]
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "export",
        "Write a session's best network as model.onnx and model.safetensors, with load.py and a "
        "card of its figures. Nothing of a patient is in it.",
        "cxr-tui export NAME nodule-model",
    )
    parser.add_argument("session", metavar="SESSION", type=named, help="its name or its folder")
    parser.add_argument("dir", metavar="DIR", type=folder, help="a new folder, or an empty one")
    add_sessions(parser)
    add_cache(parser)
    add_json(parser)
    return parser
