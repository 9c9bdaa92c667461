"""``cxr-tui sessions --export``: past sessions for TensorBoard and MLflow."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from core.errors import SessionError, UsageError
from core.findings import did_you_mean
from core.store.sessions import list_sessions
from core.store.summary import SessionSummary
from core.tracking.tracker import TRACKERS, require_trackers
from core.words import number_of
from cxr_tui.terminal.stdout import print_json, say


def export_to_tracker(found: Sequence[SessionSummary], arguments: argparse.Namespace) -> int:
    """Export the sessions that were chosen; if one fails, the others are still exported.

    Raises:
        UsageError: no such tracker, or it is not installed.
    """
    tracker, folder = arguments.export[0], Path(arguments.export[1])
    if tracker not in TRACKERS:
        raise UsageError(
            f"{tracker[:80]!r} is no tracker; there are {' and '.join(TRACKERS)}",
            where="--export",
            remedy=did_you_mean(tracker, TRACKERS)
            or "Write: cxr-tui sessions --export tensorboard DIR.",
        )
    require_trackers((tracker,), where="--export")
    from core.tracking.export import export_session  # its pictures are read by Pillow

    names = {summary.name for summary in found}
    places: dict[str, str | None] = {}
    failures: list[SessionError] = []
    for session in list_sessions(arguments.sessions):
        if session.name not in names:
            continue
        try:
            places[session.name] = export_session(session, tracker, folder)
        except SessionError as error:
            failures.append(error)
            say(f"cxr-tui: {error}")
            continue
        if not arguments.json:
            say(f"{session.name}  {places[session.name] or 'is there already'}")
    _tell(tracker, folder, places, arguments)
    return failures[0].exit_code if failures else 0


def _tell(
    tracker: str, folder: Path, places: dict[str, str | None], arguments: argparse.Namespace
) -> None:
    exported = {name: place for name, place in places.items() if place is not None}
    if arguments.json:
        there = [name for name, place in places.items() if place is None]
        print_json({"tracker": tracker, "exported": exported, "already_there": there})
        return
    if not places:
        say(f"cxr-tui: no session like that under {arguments.sessions}")
        return
    look = f"; look at them with: tensorboard --logdir {folder}" if tracker == "tensorboard" else ""
    say(f"{number_of(len(exported), 'session')} exported{look}")
