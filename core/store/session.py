"""One run's directory: create, list, open, append, lock, requests.

The layout is a contract (see the README's section on sessions). One process writes at a
time; any number may read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.errors import SessionError
from core.events import (
    CheckpointWritten,
    EpochDone,
    Event,
    RunStarted,
    event_line,
)
from core.findings import did_you_mean
from core.recipe import Recipe
from core.recipe_toml import load_recipe, recipe_toml
from core.regular_file import MOST_JSON_BYTES, open_regular, read_regular
from core.requests import Request
from core.store.event_log import EventReader
from core.store.files import is_file, is_folder, write_json, write_whole
from core.store.lock import locked
from core.store.plain_files import refuse_links

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Session:
    """A session's directory, for reading; ``writing()`` for the one process that writes."""

    path: Path

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.path.name

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was run."""
        return load_recipe(self.path / "recipe.toml")

    @property
    def checkpoints(self) -> Path:
        """Where last and best are kept."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """Where val.csv and test.csv are kept."""
        return self.path / "predictions"

    @property
    def log(self) -> Path:
        """What happened, in words, with tracebacks."""
        return self.path / "log.txt"

    @property
    def events_path(self) -> Path:
        """Where events are appended."""
        return self.path / "events.jsonl"

    def change_recipe(self, recipe: Recipe) -> None:
        """Put another recipe in its place; for who holds the lock."""
        write_whole(self.path / "recipe.toml", recipe_toml(recipe).encode())

    def events(self) -> Iterator[Event]:
        """Every event so far; a torn last line and kinds from newer versions are passed over."""
        return iter(EventReader(self.events_path).new_events())

    @property
    def made_at(self) -> float:
        """When the session was made, in seconds since 1970."""
        return (self.path / "recipe.toml").stat().st_mtime

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a value as ``name`` (such as ``evaluation/test.json``), written whole."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_json(path, value)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The value kept as ``name``, or None where it was not written yet.

        Raises:
            SessionError: the file is no JSON object.
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
        """Ask the run to pause, go on, stop or checkpoint, from any process that can write here."""
        folder = self.path / "requests"
        folder.mkdir(exist_ok=True)
        if request is Request.CONTINUE:
            (folder / Request.PAUSE.value).unlink(missing_ok=True)
        else:
            write_whole(folder / request.value, b"")

    def is_being_written(self) -> bool:
        """Whether a process on this host holds the lock (the kernel frees it on a crash)."""
        try:
            with open_regular(self.path / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def seconds_since_heartbeat(self) -> float | None:
        """Age of the heartbeat, or None where there is none; seen from other hosts too."""
        try:
            return max(0.0, time.time() - (self.path / "heartbeat").stat().st_mtime)
        except OSError:
            return None

    def writing(self) -> SessionWriter:
        """Take the lock and write.

        Raises:
            SessionError: another process writes here; the message says which.
        """
        return SessionWriter(self)


class SessionWriter:
    """The one process that writes into a session, for as long as it is open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        refuse_links(session.path)
        self._lock = locked(session.path / "lock")
        _drop_torn_line(session.path / "events.jsonl")
        self._events = (session.path / "events.jsonl").open("ab")
        self._last_heartbeat = 0.0
        # A stop that was asked of an earlier run is not for this one.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            (session.path / "requests" / Request.STOP.value).unlink()
        self.heartbeat()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.close()
        self._lock.close()

    def append(self, event: Event) -> Event:
        """Record the event, with the time; what acknowledges work is on disk on return."""
        stamped = replace(event, time=event.time or time.time())
        self._events.write(event_line(stamped).encode() + b"\n")
        self._events.flush()
        if event.ends_run or isinstance(event, CheckpointWritten | EpochDone | RunStarted):
            os.fsync(self._events.fileno())
        self.heartbeat()
        return stamped

    def heartbeat(self) -> None:
        """Say that we are alive, at most every few seconds."""
        if time.monotonic() - self._last_heartbeat >= _HEARTBEAT_SECONDS:
            (self.session.path / "heartbeat").touch()
            self._last_heartbeat = time.monotonic()

    def take_request(self) -> Request:
        """The most urgent request left in ``requests/``.

        Stop and checkpoint are taken away by asking; pause stands until it is withdrawn.
        """
        folder = self.session.path / "requests"
        for request in (Request.STOP, Request.CHECKPOINT):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                (folder / request.value).unlink()
                return request
        return Request.PAUSE if (folder / Request.PAUSE.value).exists() else Request.CONTINUE

    def note(self, text: str) -> None:
        """A line for log.txt."""
        with self.session.log.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}  {text}\n")


def create_session(sessions: Path, recipe: Recipe, name: str | None = None) -> Session:
    """A new directory under ``sessions`` that holds the recipe, before anything is loaded.

    Without a name it is called after the time and the recipe; two in one second get two
    directories.

    Raises:
        SessionError: the name is taken or can't be a directory's, or the folder can't be made.
    """
    if name is not None:
        _check_name(name)
    dated = f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.name}"
    names = [name] if name else (dated if i == 1 else f"{dated}-{i}" for i in itertools.count(1))
    try:
        sessions.mkdir(parents=True, exist_ok=True)
        for candidate in names:
            if _made(sessions / candidate, recipe):
                return Session(sessions / candidate)
    except OSError as error:
        raise SessionError(
            f"a session can't be made here ({error.strerror})",
            where=sessions,
            remedy="Choose another folder with --sessions DIR.",
        ) from error
    raise SessionError(
        "there is such a session already",
        where=sessions / str(name),
        remedy="Go on with it by --resume, or choose another name.",
    )


def _made(path: Path, recipe: Recipe) -> bool:
    """Make the directory, whole or not at all; False where the name is taken."""
    if path.exists():
        return False
    unfinished = path.parent / f".{path.name}.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for folder in ("checkpoints", "predictions", "evaluation", "cams", "requests"):
            (unfinished / folder).mkdir(parents=True)
        write_whole(unfinished / "recipe.toml", recipe_toml(recipe).encode())
        # Onto a directory with content a rename fails: of two that start at once, one wins.
        unfinished.rename(path)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def open_session(name_or_path: str | Path, sessions: Path) -> Session:
    """The session of that name under ``sessions``, or of that path.

    Raises:
        SessionError: there is none, or the folder is no session.
    """
    for path in (sessions / name_or_path, Path(name_or_path)):
        if is_file(path / "recipe.toml"):
            return Session(path.resolve())
    folder = next((p for p in (sessions / name_or_path, Path(name_or_path)) if is_folder(p)), None)
    if folder is not None:
        raise SessionError(
            "is no session: it has no recipe.toml",
            where=folder,
            remedy="Give the name of a session, see cxr-tui sessions.",
        )
    known = [session.name for session in list_sessions(sessions)]
    hint = did_you_mean(str(name_or_path), known)
    raise SessionError(
        f"there is no such session under {sessions}",
        where=name_or_path,
        remedy=hint or "See cxr-tui sessions, or name their folder by --sessions DIR.",
    )


def list_sessions(sessions: Path) -> list[Session]:
    """Every session of the folder, the newest first."""
    try:
        folders = [
            path
            for path in sessions.iterdir()
            if is_file(path / "recipe.toml") and not path.name.startswith(".")
        ]
    except OSError:  # not there, no folder, or not ours to read
        return []
    sessions_found = [Session(path) for path in folders]
    return sorted(sessions_found, key=lambda found: (found.made_at, found.name), reverse=True)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SessionError(
            "can't be a session's name",
            where=f"--session {name}",
            remedy="Use letters, digits, dot, dash and underscore; 120 at most.",
        )


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end: its event was never acknowledged."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0 or start == 0:
                stream.truncate(start + newline + 1)
                return
            end = start
