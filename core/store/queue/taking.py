"""Take the next entry of the queue, as one of any number of workers.

An entry is taken under a lock of the kind that sessions have, so it is nobody's once its worker is
dead, in whatever way. It goes on with what was begun: what its session shows to be at its end is
recorded, and not run again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from core.errors import CxrError, RunFailedError, SessionError
from core.events import Event
from core.regular_file import read_regular
from core.store.files import is_file, open_own, write_json
from core.store.heartbeat import Heartbeat
from core.store.held_folder import HeldFolder
from core.store.lock import Lock
from core.store.past import Past
from core.store.queue.entry import Ended, Entry, read_entry
from core.store.queue.queue import Queue

_MOST_DEATHS = 5
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class TakenEntry:
    """An entry that this process alone works on, until ``release``."""

    entry: Entry
    _lock: Lock
    _folder: HeldFolder
    _heartbeat: Heartbeat

    def begin(self) -> None:
        """Record that its session exists: from now on a missing one is not made again.

        Raises:
            OSError: the disk is full or fails.
        """
        step = Past.of(self.entry.session).acknowledged_step
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = open_own(self.entry.path / "begun", flags)
        try:
            os.write(descriptor, f"{step}\n".encode())
        finally:
            os.close(descriptor)

    def end(self, ended: Ended) -> None:
        """Record how it ended.

        Raises:
            OSError: the disk is full or fails; its session shows the end too, if it has one.
        """
        _keep_end(self.entry, ended)

    def leave_for_later(self) -> None:
        """Count no start so far as a death: its runs ended, for lack of space."""
        with contextlib.suppress(OSError):  # it isn't there, or its disk fails
            os.truncate(self.entry.path / "begun", 0)  # which takes no space

    def release(self) -> None:
        """Let others take it, unless it has ended."""
        self._heartbeat.stop()
        self._lock.release()
        self._folder.close()


def take_next(
    queue: Queue,
    passed: Collection[str] = (),
    while_waiting: Callable[[], None] = lambda: None,
) -> TakenEntry | None:
    """Take the first entry that nobody has and that hasn't ended; None if there is none.

    Args:
        queue: if it is paused, nothing is taken.
        passed: names of entries to leave out.
        while_waiting: called several times a second while another host's silent worker is watched;
            it may raise.

    Raises:
        SessionError: the queue's folder can't be written.
    """
    for entry in queue.entries():
        if queue.is_paused:
            return None
        if entry.fault or entry.ended is not None or entry.name in passed:
            continue
        if (taken := _taken(entry, while_waiting)) is not None:
            return taken
    return None


def _taken(entry: Entry, while_waiting: Callable[[], None]) -> TakenEntry | None:
    with contextlib.ExitStack() as undo:
        try:
            lock = Lock(entry.path, while_waiting)
        except SessionError as error:
            if isinstance(error.__cause__, OSError) and entry.path.is_dir():
                raise  # a disk that can't be written, not another worker
            return None
        undo.callback(lock.release)
        now = read_entry(entry.path)  # it may have ended before we had the lock
        if now is None or now.fault or now.ended is not None or now.session.is_being_written():
            return None
        try:
            ended = _known_end(now)
        except CxrError as error:  # its session is damaged
            ended = Ended("failed", error.exit_code, str(error))
        if ended is not None:
            with contextlib.suppress(OSError):  # a full disk: found again next time
                _keep_end(now, ended)
            return None
        folder = HeldFolder(now.path)
        undo.pop_all()
        return TakenEntry(now, lock, folder, Heartbeat(folder.descriptor))
    raise AssertionError("unreachable: the stack suppresses nothing")


def _known_end(entry: Entry) -> Ended | None:
    """The end of an entry that has nothing left to run."""
    if is_file(entry.session.path / "recipe.toml"):
        return entry.end_by_session() or _end_by_deaths(entry)
    if not entry.was_begun:
        return None
    name = entry.session.name
    what = f"its session {name} is gone: it was deleted or renamed after it had begun"
    return Ended("failed", SessionError.exit_code, what)


def _end_by_deaths(entry: Entry) -> Ended | None:
    """The end of one that killed every worker that took it, such as by the host's memory."""
    try:
        steps = read_regular(entry.path / "begun", _MOST_BYTES).split()[-_MOST_DEATHS:]
    except OSError:
        return None
    last: Event | None = None
    for event in entry.session.milestones():
        last = event
    step = b"%d" % Past.of(entry.session).acknowledged_step
    if last is None or last.ends_run or steps != [step] * _MOST_DEATHS:
        return None
    what = f"its last {_MOST_DEATHS} workers were killed before they could save another step"
    return Ended("failed", RunFailedError.exit_code, what)


def _keep_end(entry: Entry, ended: Ended) -> None:
    kept = replace(ended, time=ended.time or time.time())
    write_json(
        entry.path / "ended.json",
        {
            "state": kept.state,
            "exit_code": kept.exit_code,
            "message": kept.message,
            "time": kept.time,
        },
    )
