"""The queue of a sessions' folder: add, list, order, pause, empty.

Any process may change it at any time; a worker takes the next entry with ``take_next`` in
``core.store.queue.taking``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.errors import CxrError, SessionError
from core.recipe import Recipe
from core.recipe_toml import recipe_toml
from core.store.files import TOKEN, alone_with, is_file, token, write_whole
from core.store.lock import Lock
from core.store.plain_files import refuse_links
from core.store.queue.entry import FOLDER, Entry, read_entry
from core.store.session import Session
from core.store.sessions import check_name

_HALF_ADDED = re.compile(rf"\..+\.{TOKEN}")
_OLD_SECONDS = 3600.0
_OURS = re.compile(r"\.?(recipe\.toml|entry\.json|lock|begun|ended\.json|heartbeat)(\..*)?")
_REMEDY = "Allow writing there, or name another folder with --sessions DIR."


@dataclass(frozen=True)
class Queue:
    """The queue of this sessions' folder; its own folder is created by the first entry."""

    sessions: Path

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.sessions / FOLDER

    def entries(self) -> list[Entry]:
        """Every entry, damaged ones too, in the order in which they are taken."""
        found: list[Entry] = []
        with contextlib.suppress(OSError):  # missing, or not readable
            found.extend(filter(None, map(read_entry, self.path.iterdir())))
        return sorted(found, key=lambda entry: entry.order)

    def entry(self, asked: str) -> Entry:
        """The entry with this number, name or session.

        Raises:
            SessionError: there is none.
        """
        entries = self.entries()
        for entry in entries:
            is_number = asked.isdecimal() and len(asked) <= 9 and int(asked) == entry.number
            if is_number or asked in (entry.name, entry.session.name):
                return entry
        known = ", ".join(str(entry.number) for entry in entries)
        raise SessionError(
            "there is no such entry in the queue",
            where=asked,
            remedy=f"Give its number: {known}." if known else "The queue is empty.",
        )

    def add(self, recipe: Recipe, name: str | None = None) -> Entry:
        """Add a recipe as the last entry; its session gets this name, or a dated one.

        Raises:
            SessionError: the name is taken or invalid, or the folder can't be written.
        """
        if name is not None:
            check_name(name)
        with self._writing("added to"):
            self.sessions.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(exist_ok=True)
            refuse_links(self.path)
            self._drop_half_added()
            with alone_with(self.path / "turns"):
                entries = self.entries()
                number = max((entry.number for entry in entries), default=0) + 1
                place = max([float(number), *(entry.place + 1 for entry in entries)])
                session = self._session(recipe, name, entries)
                return self._made(Entry(
                    self.path / f"{number:04}-{recipe.name}", number, place, session, time.time()
                ), recipe)  # fmt: skip

    def move(self, entry: Entry, to: int) -> None:
        """Move an entry to a place among those that haven't ended, counted from 0.

        Raises:
            SessionError: it has ended, or its file can't be written.
        """
        if entry.ended is not None or entry.fault:
            raise SessionError(
                "can't be moved: it isn't waiting", where=entry.name, remedy="See cxr-tui queue."
            )
        with self._writing("changed"), alone_with(self.path / "turns"):
            order = [one for one in self.entries() if one.ended is None and one.name != entry.name]
            order.insert(max(0, min(to, len(order))), entry)
            _place(entry, order)

    def remove(self, entry: Entry) -> None:
        """Remove an entry; its session, if there is one, stays.

        Raises:
            SessionError: a worker has it, or the folder can't be written.
        """
        with self._writing("changed"):
            lock = Lock(entry.path)
            try:
                unfinished = self.path / f".{entry.name}.{token()}"
                entry.path.rename(unfinished)
                shutil.rmtree(unfinished)
            finally:
                lock.release()

    def put_back(self, entry: Entry) -> None:
        """Let a failed or stopped entry wait again, in its place.

        Raises:
            SessionError: it hasn't ended so, or its file can't be written.
        """
        ended = entry.ended or (None if entry.fault else entry.end_by_session())
        if ended is None or ended.state == "finished":
            what = "is finished" if ended else "hasn't ended"
            raise SessionError(f"can't be put back: it {what}", where=entry.name)
        with self._writing("changed"):
            replace(entry, starts_before=entry.num_starts()).keep()
            if not is_file(entry.session.path / "recipe.toml"):
                (entry.path / "begun").unlink(missing_ok=True)
            elif entry.was_begun:
                write_whole(entry.path / "begun", b"")
            (entry.path / "ended.json").unlink(missing_ok=True)

    @property
    def is_paused(self) -> bool:
        """Whether no worker takes another entry; what runs goes on to its end."""
        return is_file(self.path / "paused")

    def pause(self) -> None:
        """Let no worker take another entry.

        Raises:
            SessionError: the folder can't be written.
        """
        with self._writing("paused"):
            self.sessions.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(exist_ok=True)
            write_whole(self.path / "paused", b"")

    def go_on(self) -> None:
        """Let workers take entries again.

        Raises:
            SessionError: the folder can't be written.
        """
        with self._writing("continued"):
            (self.path / "paused").unlink(missing_ok=True)

    def _session(self, recipe: Recipe, name: str | None, entries: Sequence[Entry]) -> Session:
        """The session that the entry will have: its name is taken from now on."""
        reserved = {entry.session.name for entry in entries if entry.ended is None}
        if name is not None:
            if name in reserved or (self.sessions / name).exists():
                raise SessionError(
                    "a session or an entry of this name exists already",
                    where=name,
                    remedy="Choose another name with --session.",
                )
            return Session(self.sessions / name)
        dated = f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.name}"
        free, turn = dated, 1
        while free in reserved or (self.sessions / free).exists():
            turn += 1
            free = f"{dated}-{turn}"
        return Session(self.sessions / free)

    def _made(self, entry: Entry, recipe: Recipe) -> Entry:
        """Create the entry's folder, whole or not at all."""
        unfinished = self.path / f".{entry.name}.{token()}"
        try:
            unfinished.mkdir()
            write_whole(unfinished / "recipe.toml", recipe_toml(recipe).encode())
            replace(entry, path=unfinished).keep()
            (unfinished / "lock").touch()  # so that a full disk later doesn't prevent the lock
            unfinished.rename(entry.path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return entry

    def _drop_half_added(self) -> None:
        """Remove what killed processes were adding or removing, but nothing of the user's."""
        for path in self.path.iterdir():
            if not _HALF_ADDED.fullmatch(path.name):
                continue
            with contextlib.suppress(OSError):
                is_old = path.lstat().st_mtime < time.time() - _OLD_SECONDS
                if is_old and all(_OURS.fullmatch(name) for name in os.listdir(path)):  # noqa: PTH208
                    shutil.rmtree(path)

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except CxrError:
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise SessionError(
                f"the queue can't be {what} ({why})", where=self.path, remedy=_REMEDY
            ) from error


def _place(entry: Entry, order: Sequence[Entry]) -> None:
    """Give the entry a place between its neighbours in this order."""
    at = order.index(entry)
    before = order[at - 1].place if at else None
    after = order[at + 1].place if at + 1 < len(order) else (before or entry.place) + 2
    before = after - 2 if before is None else before
    if before < (place := (before + after) / 2) < after:
        replace(entry, place=place).keep()
        return
    for turn, one in enumerate(order):  # no number is left between the two
        if not one.fault:
            replace(one, place=after + 1 + turn).keep()
