"""A session's directory: read, write events, lock, requests.

The layout is a contract (see docs/sessions.md). One process writes at a time; any number may read.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.errors import RunFailedError, SessionError
from core.event_lines import event_line
from core.events import (
    CheckpointWritten,
    Diagnosed,
    EpochDone,
    Evaluated,
    Event,
    RunStarted,
)
from core.recipe import Recipe
from core.recipe_toml import as_recorded, recipe_toml, recorded_recipe
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.requests import ONCE, Request
from core.store.event_file import EventFile, Prefix
from core.store.event_log import EventReader, MilestoneReader
from core.store.files import (
    is_file,
    open_folder,
    open_own,
    write_json,
    write_whole,
)
from core.store.heartbeat import Heartbeat, seconds_since_beat
from core.store.held_folder import HeldFolder
from core.store.leftovers import drop_leftovers
from core.store.lock import Lock, is_held
from core.store.plain_files import refuse_links

EXTERNAL = "external"
"""The folder of figures on other data sets than the session's own."""


@dataclass(frozen=True)
class Session:
    """A session's directory, for reading; ``writing()`` for the one process that writes."""

    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was run."""
        return recorded_recipe(self.path / "recipe.toml")

    def in_its_sense(self, recipe: Recipe) -> Recipe:
        """A recipe for resuming this session; unset keys keep this session's defaults."""
        return as_recorded(recipe, self.path / "recipe.toml")

    @property
    def checkpoints(self) -> Path:
        """The folder of the last and best checkpoints."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """The folder of val.csv and test.csv."""
        return self.path / "predictions"

    def predictions_of(self, part: str) -> Path:
        """The file of a part's predictions: ``val``, ``test`` or ``external/NAME``."""
        if part.startswith(f"{EXTERNAL}/"):
            return self.path / part / "predictions.csv"
        return self.predictions / f"{part}.csv"

    def external_parts(self) -> tuple[str, ...]:
        """``external/NAME`` of each other data set that was scored, by name."""
        try:
            names = sorted(place.name for place in (self.path / EXTERNAL).iterdir())
        except OSError:
            return ()
        return tuple(f"{EXTERNAL}/{name}" for name in names if not name.startswith("."))

    @property
    def log(self) -> Path:
        """The path of log.txt: what happened, with tracebacks."""
        return self.path / "log.txt"

    @property
    def events_path(self) -> Path:
        """The path of events.jsonl."""
        return self.path / "events.jsonl"

    def change_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe; the caller must hold the lock."""
        write_whole(self.path / "recipe.toml", recipe_toml(recipe).encode(), follow=True)

    def events(self) -> Iterator[Event]:
        """Every event so far; a torn last line and events of newer versions are skipped."""
        return EventReader(self.events_path).each()

    def milestones(self) -> Iterator[Event]:
        """Every event so far except steps and progress, which make up most of a long run."""
        return MilestoneReader(self.events_path).each()

    @property
    def made_at(self) -> float:
        """When the session was created, in seconds since 1970."""
        return (self.path / "recipe.toml").stat().st_mtime

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a value to ``name`` (such as ``evaluation/test.json``)."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_json(path, value, follow=path.parent == self.path)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The value in ``name``, or None if it hasn't been written yet.

        Raises:
            SessionError: the file is not a JSON object.
        """
        path = self.path / name
        try:
            value = json.loads(read_regular(path, MOST_JSON_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise SessionError(f"can't be read ({error})", where=path) from None
        if not isinstance(value, dict):
            raise SessionError("should hold a JSON object", where=path)
        return value

    def ask(self, request: Request) -> None:
        """Ask the run to pause, continue, stop or write a checkpoint, from any process that can
        write here.

        Raises:
            OSError: the request can't be written, or ``requests/`` is a link.
        """
        folder = self.path / "requests"
        folder.mkdir(exist_ok=True)
        if request is Request.CONTINUE:
            with open_folder(folder) as asked, contextlib.suppress(FileNotFoundError):
                os.unlink(Request.PAUSE.value, dir_fd=asked)
        else:
            write_whole(folder / request.value, b"")

    def is_being_written(self) -> bool:
        """Whether a process holds the lock or, on another host, has a fresh heartbeat."""
        return is_held(self.path)

    def seconds_since_heartbeat(self) -> float | None:
        """Age of the heartbeat in seconds, or None without one; works across hosts."""
        age = seconds_since_beat(self.path)
        return None if age is None else max(0.0, age)

    def writing(self, while_waiting: Callable[[], None] = lambda: None) -> SessionWriter:
        """Take the lock for writing.

        While a silent owner on another host is watched, ``while_waiting`` is called several times a
        second; it may raise.

        Raises:
            SessionError: another process writes here; the message says which.
        """
        return SessionWriter(self, while_waiting)


class _HeldSession(Session):
    """A session open for writing, which follows its folder when that is moved."""

    _folder: HeldFolder

    def __init__(self, folder: HeldFolder) -> None:
        object.__setattr__(self, "_folder", folder)  # a Session is frozen

    @property
    def path(self) -> Path:
        """The folder's current path, or the original one if it is gone."""
        return self._folder.path() or self._folder.began_at


class SessionWriter:
    """The single writer of a session, while it is open."""

    def __init__(self, session: Session, while_waiting: Callable[[], None] = lambda: None) -> None:
        refuse_links(session.path)
        self._lock = Lock(session.path, while_waiting)
        self._folder = HeldFolder(session.path)
        self.session: Session = _HeldSession(self._folder)
        self._events = EventFile(session.events_path)
        self._must_sync = False
        drop_leftovers(session.path)
        self._withdraw_requests()
        self._heartbeat = Heartbeat(self._folder.descriptor)

    @property
    def taken_over(self) -> str | None:
        """The silent owner on another host whose lock was taken over, if any."""
        return self._lock.taken_over

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._heartbeat.stop()
        self._events.close()
        self._lock.release()
        self._folder.close()

    @property
    def moved_to(self) -> Path | None:
        """The current path of the session's folder, if it was moved while we write."""
        now = self._folder.path()
        return None if now == self._folder.began_at else now

    @property
    def stops_because(self) -> str | None:
        """Why the run should stop soon, though everything is intact so far."""
        if (moved_to := self.moved_to) is not None:
            return f"its folder was moved to {moved_to} while it ran"
        if not self._folder.holds("lock", self._lock.descriptor):
            return "its lock was removed or replaced while it ran, and another process may take it"
        return None

    def require_folder(self) -> None:
        """Check that the folder and its events still exist.

        Raises:
            RunFailedError: its folder was removed, or its events were.
        """
        if self._folder.path() is None:
            where, what = self._folder.began_at, "the session's folder was removed while it ran"
        elif not self._folder.holds("events.jsonl", self._events.descriptor):
            where, what = self.session.events_path, "was removed or replaced while the run wrote it"
        else:
            return
        raise RunFailedError(
            what,
            where=where,
            why="From now on nothing would be written to a session.",
            remedy="Restore it from a copy and continue with --resume, or start a new session.",
        )

    def append(self, event: Event) -> Event:
        """Record the event with the time; an event that acknowledges work is on disk on return.

        Raises:
            OSError: the disk is full or fails; the event stays in memory for the next ``flush``.
        """
        stamped = self.add(event)
        self.flush()
        return stamped

    def add(self, event: Event) -> Event:
        """Add the event, with the time, for the next ``flush``; returns the stamped event."""
        stamped = replace(event, time=event.time or time.time())
        self._events.add(event_line(stamped))
        self._must_sync = self._must_sync or _acknowledges(stamped)
        return stamped

    def flush(self) -> None:
        """Write the events that were added.

        Raises:
            OSError: the disk is full or fails; they stay in memory for the next call.
        """
        self._events.flush(sync=self._must_sync)
        self._must_sync = False

    def events_seal(self) -> Prefix:
        """The prefix of events.jsonl that is known to be on disk."""
        return self._events.seal()

    def events_begin_with(self, prefix: Prefix) -> bool:
        """Whether events.jsonl still begins with what an earlier run wrote."""
        return self._events.begins_with(prefix)

    def take_request(self) -> Request:
        """The most urgent request in ``requests/``.

        Reading removes every request except pause, which stays until it is withdrawn. A session
        that was moved, or lost its lock, returns a stop.

        Raises:
            RunFailedError: see ``require_folder``.
        """
        self.require_folder()
        if self.stops_because is not None:
            return Request.STOP
        folder = self.session.path / "requests"
        for request in (Request.STOP, *ONCE):
            if _withdrawn(folder, request):
                return request
        return Request.PAUSE if is_file(folder / Request.PAUSE.value) else Request.CONTINUE

    def _withdraw_requests(self) -> None:
        """Remove requests for an earlier run, including a pause."""
        for request in (Request.STOP, *ONCE, Request.PAUSE):
            _withdrawn(self.session.path / "requests", request)

    def note(self, text: str) -> None:
        """Append a line to log.txt."""
        log_file = open_own(self.session.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(log_file, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}  {text}\n")


def _withdrawn(folder: Path, request: Request) -> bool:
    """Remove the request; whether it was there. The folder may be gone, or the disk may fail."""
    try:
        with open_folder(folder) as asked:
            os.unlink(request.value, dir_fd=asked)
    except OSError:
        return False
    return True


def _acknowledges(event: Event) -> bool:
    """Whether the event must be on disk before the run continues.

    A diagnosis is the last event before the end of a run whose test part is sealed; it is rare.
    """
    return event.ends_run or isinstance(
        event, CheckpointWritten | Diagnosed | EpochDone | Evaluated | RunStarted
    )
