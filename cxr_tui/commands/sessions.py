"""``cxr-tui sessions``: list, filter, sort, delete or export sessions."""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import sys
import time
from collections.abc import Callable, Sequence

from core.errors import SessionError, UsageError
from core.store.sessions import delete_session, list_sessions
from core.store.summary import STATES, SessionSummary
from core.words import number_of
from cxr_tui.arguments import add_json, add_sessions, common_parser
from cxr_tui.commands.tracker_export import export_to_tracker
from cxr_tui.terminal.safe_text import duration
from cxr_tui.terminal.stdout import print_json, print_table, say

_SORTS: dict[str, Callable[[SessionSummary], float | str]] = {
    "age": lambda summary: -summary.updated,
    "name": lambda summary: summary.name,
    "state": lambda summary: STATES.index(summary.state),
    "auroc": lambda summary: -(summary.best_val_auroc or 0.0),
    "size": lambda summary: -summary.num_bytes,
}


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: sessions should be deleted, but nobody can confirm it; or the tracker to export
            to is unknown or not installed.
        SessionError: one of them can't be deleted.
    """
    arguments = parser().parse_args(argv)
    if arguments.yes and not arguments.delete:
        raise UsageError("--yes needs --delete")
    if arguments.export and arguments.delete:
        raise UsageError("--export and --delete are two commands: give one of them")
    found = _chosen(arguments)
    if arguments.export:
        return export_to_tracker(found, arguments)
    if arguments.delete:
        return _delete(found, arguments)
    if arguments.json:
        print_json({"sessions": [dataclasses.asdict(summary) for summary in found]})
        return 0
    if not found:
        like = " like that" if arguments.name or arguments.state or arguments.tag else ""
        print_table(f"No sessions{like} under {arguments.sessions}.", (), ())
        return 0
    head: tuple[str, ...] = ("name", "state", "epoch", "val AUROC", "best at", "age", "size")
    rows = [_row(summary) for summary in found]
    if any(summary.tags for summary in found):
        head = (*head, "tags")
        rows = [(*row, " ".join(summary.tags)) for row, summary in zip(rows, found, strict=True)]
    if any(summary.sealed for summary in found):
        head = (*head, "test")
        sealed = ["sealed" if summary.sealed else "" for summary in found]
        rows = [(*row, cell) for row, cell in zip(rows, sealed, strict=True)]
    print_table(None, head, rows, left=2)
    for summary in found:
        if summary.notes_error:
            say(f"cxr-tui: {summary.notes_error}")
    return 0


def _chosen(arguments: argparse.Namespace) -> list[SessionSummary]:
    found = [SessionSummary.of(session) for session in list_sessions(arguments.sessions)]
    if arguments.state:
        found = [summary for summary in found if summary.state in arguments.state]
    if arguments.tag:
        wanted = {tag.casefold() for tag in arguments.tag}
        found = [one for one in found if wanted <= {tag.casefold() for tag in one.tags}]
    if arguments.name:
        found = [summary for summary in found if _is_named(summary.name, arguments.name)]
    if arguments.sort:
        found.sort(key=_SORTS[arguments.sort])
    return found


def _is_named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _row(summary: SessionSummary) -> tuple[str, ...]:
    return (
        summary.name,
        summary.state,
        f"{summary.epoch}/{summary.epochs}",
        "–" if summary.best_val_auroc is None else f"{summary.best_val_auroc:.3f}",
        "–" if summary.best_epoch is None else str(summary.best_epoch),
        duration(max(0.0, time.time() - summary.updated)),
        f"{summary.num_bytes / 1e6:,.0f} MB",
    )


def _delete(found: Sequence[SessionSummary], arguments: argparse.Namespace) -> int:
    """Delete them after confirmation; if one fails, the others are still deleted."""
    if not (arguments.name or arguments.state or arguments.tag):
        raise UsageError(
            "--delete needs names of sessions, --state or --tag",
            remedy='To delete all of them: cxr-tui sessions "*" --delete',
        )
    if not found:
        say(f"cxr-tui: no session like that under {arguments.sessions}")
        return 0
    of_names = {summary.name for summary in found}
    sessions = [one for one in list_sessions(arguments.sessions) if one.name in of_names]
    if not arguments.yes:
        _ask(found)
    failures = []
    for session in sessions:
        try:
            delete_session(session)
        except SessionError as error:
            failures.append(error)
            say(f"cxr-tui: {error}")
    say(f"{number_of(len(sessions) - len(failures), 'session')} deleted")
    return failures[0].exit_code if failures else 0


def _ask(found: Sequence[SessionSummary]) -> None:
    """Ask for confirmation.

    Raises:
        UsageError: there is no terminal to ask on, or the answer was no.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "--delete asks before it deletes, but there is no terminal to ask on",
            remedy="Confirm with --yes.",
        )
    size = sum(summary.num_bytes for summary in found) / 1e6
    for summary in found:
        say(f"  {summary.name}  {summary.state}")
    say(f"Delete {number_of(len(found), 'session')}, {size:,.0f} MB? This can't be undone. [y/N]")
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise UsageError("nothing was deleted")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "sessions",
        "List the sessions, newest first; filter by name or state, sort, delete or export them.",
        "cxr-tui sessions --state failed --delete",
    )
    parser.add_argument(
        "name", metavar="SESSION", nargs="*", help='names or shell patterns, such as "2026*"'
    )
    parser.add_argument(
        "--state", metavar="STATE", choices=STATES, action="append", help=", ".join(STATES)
    )
    parser.add_argument(
        "--tag", metavar="TAG", action="append", help="those with this tag; several: with all"
    )
    parser.add_argument("--sort", metavar="BY", choices=_SORTS, help=", ".join(_SORTS))
    parser.add_argument("--delete", action="store_true", help="delete them, after asking")
    parser.add_argument("--yes", action="store_true", help="with --delete: don't ask")
    parser.add_argument(
        "--export",
        nargs=2,
        metavar=("TRACKER", "DIR"),
        help="show them in tensorboard or mlflow: write its files under DIR",
    )
    add_sessions(parser)
    add_json(parser)
    return parser
