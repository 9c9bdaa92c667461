"""One entry of the queue: a folder with the recipe as it was when it was added.

    .queue/0003-nih-14/
      recipe.toml   frozen when it was added, paths absolute
      entry.json    the session's name, the place in the order, when it was added
      lock          who has taken it; heartbeat beside it, as in a session
      begun         written once its session exists; a line each time it was taken: the step saved
      ended.json    how it ended: finished, failed or stopped, and why

The session's own events are believed before these files: a worker that was killed, or whose disk
was full, may have left the last one unwritten.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import CxrError, SessionError
from core.events import Event, Failed, Finished, RunStarted
from core.recipe import Recipe
from core.recipe_toml import recorded_recipe
from core.regular_file import read_regular
from core.store.files import is_file, write_json
from core.store.finish import is_finish
from core.store.lock import is_held
from core.store.plain_files import refuse_links
from core.store.session import Session
from core.store.sessions import is_session_name

FOLDER = ".queue"
"""Under the sessions' folder; lists of sessions leave out what begins with a dot."""

STATES = ("running", "begun", "waiting", "finished", "failed", "stopped", "damaged")
"""Begun: a worker had it, and none has now. Damaged: it can't be read, and no worker takes it."""

ENDS = ("finished", "failed", "stopped")

_NAME = re.compile(r"(\d{4,9})-[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MOST_BYTES = 64 * 2**10
_STOPPED = 75


@dataclass(frozen=True)
class Ended:
    """How an entry ended. ``stopped``: on request, by a person; it isn't taken again by itself."""

    state: str
    exit_code: int
    message: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Entry:
    """What an entry's files say; see the module's docstring.

    Attributes:
        number: given when it was added; names it on the command line.
        place: entries that weren't begun are taken by place, then by number; equal to the number
            unless moved.
        session: its session's folder, which may not exist yet.
        starts_before: of its session, when the entry was put into the queue: what came before that
            doesn't count as its end.
        ended: None until it has.
        was_begun: whether its session existed at some time.
        fault: why it can't be read; empty for a sound one.
    """

    path: Path
    number: int
    place: float
    session: Session
    added: float = 0.0
    starts_before: int = 0
    ended: Ended | None = None
    was_begun: bool = False
    fault: str = ""

    @property
    def name(self) -> str:
        """The folder's name, such as ``0003-nih-14``."""
        return self.path.name

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was added.

        Raises:
            RecipeError: it can't be read.
        """
        return recorded_recipe(self.path / "recipe.toml")

    @property
    def order(self) -> tuple[bool, bool, float, int, str]:
        """Entries are taken in this order: what was begun goes on first. Ended ones stand first."""
        return (
            *(self.ended is None, not self.was_begun),
            *(self.place, self.number, self.name),
        )

    def state(self) -> str:
        """One of ``STATES``; reads its lock and its session."""
        if self.fault:
            return "damaged"
        if self.ended is not None:
            return self.ended.state
        if is_held(self.path) or self.session.is_being_written():
            return "running"
        ended = self.end_by_session()
        if ended is not None:
            return ended.state
        return "begun" if is_file(self.session.path / "recipe.toml") else "waiting"

    def end_by_session(self) -> Ended | None:
        """The end that its session shows, whatever ``ended.json`` says; None if there is none.

        Raises:
            SessionError: the session's dataset.json is damaged.
        """
        starts, last = 0, None
        for event in self.session.milestones():
            last = event
            starts += isinstance(event, RunStarted)
        return None if starts <= self.starts_before else _end_of(self.session, last)

    def num_starts(self) -> int:
        """How often its session was started."""
        return sum(isinstance(event, RunStarted) for event in self.session.milestones())

    def keep(self) -> None:
        """Write entry.json.

        Raises:
            OSError: the disk is full or fails.
        """
        write_json(
            self.path / "entry.json",
            {
                "session": self.session.name,
                "place": self.place,
                "added": self.added,
                "starts_before": self.starts_before,
            },
        )


def _end_of(session: Session, last: Event | None) -> Ended | None:
    if isinstance(last, Finished) and is_finish(session, last):
        return Ended("finished", 0, time=last.time)
    if isinstance(last, Failed) and last.exit_code != _STOPPED and not last.lacks_room:
        return Ended("failed", last.exit_code, last.message, last.time)
    return None


def read_entry(path: Path) -> Entry | None:
    """The entry in that folder, damaged or not; None for no folder, or one that isn't ours."""
    named = _NAME.fullmatch(path.name)
    if named is None or path.is_symlink() or not path.is_dir():
        return None
    number, sessions = int(named[1]), path.parent.parent
    blank = Entry(path, number, float(number), Session(sessions / path.name))
    try:
        return _read(blank, sessions)
    except CxrError as error:
        return replace(blank, fault=str(error)) if path.is_dir() else None


def _read(blank: Entry, sessions: Path) -> Entry:
    refuse_links(blank.path)
    where = blank.path / "entry.json"
    told = _json(where, blank)
    if told is None:
        raise SessionError("is missing", where=where, remedy=_remedy(blank))
    name = told.get("session")
    if not isinstance(name, str) or not is_session_name(name):
        raise SessionError("session must be a session's name", where=where, remedy=_remedy(blank))
    place, added, starts = (_number(told.get(key)) for key in ("place", "added", "starts_before"))
    if place is None or added is None or starts is None:
        what = "place, added and starts_before must be numbers"
        raise SessionError(what, where=where, remedy=_remedy(blank))
    entry = replace(blank, session=Session(sessions / name), place=place, added=added)
    entry = replace(entry, starts_before=int(starts), ended=_read_end(blank))
    entry = replace(entry, was_begun=is_file(entry.path / "begun"))
    if entry.ended is None:
        _ = entry.recipe  # a damaged one is refused here, before a worker takes it
    return entry


def _read_end(entry: Entry) -> Ended | None:
    where = entry.path / "ended.json"
    told = _json(where, entry)
    if told is None:
        return None
    state, message = told.get("state"), told.get("message")
    code, at = _number(told.get("exit_code")), _number(told.get("time"))
    if state not in ENDS or not isinstance(message, str) or code is None or at is None:
        raise SessionError("isn't what cxr-tui writes", where=where, remedy=_remedy(entry))
    return Ended(state, int(code), message, at)


def _json(path: Path, entry: Entry) -> dict[str, Any] | None:
    try:
        value = json.loads(read_regular(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SessionError(f"can't be read ({error})", where=path, remedy=_remedy(entry)) from None
    if not isinstance(value, dict):
        raise SessionError("should hold a JSON object", where=path, remedy=_remedy(entry))
    return value


def _number(value: object) -> float | None:
    """A finite number, else None; of JSON it may be anything."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if is_one and math.isfinite(value) else None  # type: ignore[arg-type]
    except OverflowError:  # a whole number of hundreds of digits
        return None


def _remedy(entry: Entry) -> str:
    return f"Remove it with cxr-tui queue remove {entry.number}, and add the recipe again."
