"""``cxr-tui sessions``: the sessions here, newest first."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from core.store.sessions import list_sessions
from core.store.summary import SessionSummary
from cxr_tui.arguments import common_parser, folder
from cxr_tui.terminal.safe_text import duration
from cxr_tui.terminal.stdout import print_json, print_table


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    summaries = [SessionSummary.of(session) for session in list_sessions(arguments.sessions)]
    if arguments.json:
        print_json({"sessions": [dataclasses.asdict(summary) for summary in summaries]})
        return 0
    rows = [
        (
            summary.name,
            summary.state,
            f"{summary.epoch}/{summary.epochs}",
            "–" if summary.best_val_auroc is None else f"{summary.best_val_auroc:.3f}",
            "–" if summary.best_epoch is None else str(summary.best_epoch),
            duration(max(0.0, time.time() - summary.updated)),
            f"{summary.num_bytes / 1e6:,.0f} MB",
        )
        for summary in summaries
    ]
    if not rows:
        print_table(f"No sessions under {arguments.sessions}.", (), ())
        return 0
    head = ("name", "state", "epoch", "val AUROC", "best at", "age", "size")
    print_table(None, head, rows, left=2)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = common_parser(
        "sessions", "The sessions here, newest first.", "cxr-tui sessions --sessions /scratch/runs"
    )
    parser.add_argument("--sessions", metavar="DIR", type=folder, default=Path("sessions"))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser
