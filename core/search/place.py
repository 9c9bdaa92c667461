"""A search's folder beside the sessions: its locks, by which a dead worker's trial is found."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import SessionError
from core.regular_file import read_regular
from core.store.files import is_file, token, write_json, write_whole
from core.store.heartbeat import Heartbeat
from core.store.held_folder import HeldFolder
from core.store.lock import Lock, is_held

FOLDER = "searches"
"""The folder of all searches, in the sessions' folder."""

_JOURNAL, _STORAGE = "study.journal", "storage"
_MOST_BYTES = 10_000


@dataclass(frozen=True)
class TrialLock:
    """Held by the one process that works on a trial."""

    _lock: Lock
    _folder: HeldFolder
    _heartbeat: Heartbeat

    def release(self) -> None:
        """Let others take the trial."""
        self._heartbeat.stop()
        self._lock.release()
        self._folder.close()


@dataclass(frozen=True)
class SearchPlace:
    """The folder of one search among these sessions.

    Attributes:
        path: ``SESSIONS/searches/NAME``.
        key: tells it from the same search's folder on another host.
    """

    path: Path
    key: str

    @classmethod
    def of(cls, sessions: Path, name: str) -> SearchPlace:
        """The folder, made if it isn't there.

        Raises:
            SessionError: it can't be made.
        """
        path = sessions / FOLDER / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path / "key", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                key = os.pread(descriptor, 100, 0).decode()
                if not key:
                    key = token()
                    os.pwrite(descriptor, key.encode(), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SessionError(f"can't be written ({error.strerror})", where=path) from error
        return cls(path, key)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Held for the moment in which a new trial is asked for and claimed."""
        descriptor = os.open(self.path / "asking", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def journal(self) -> Path:
        """The study's file, unless another storage is named."""
        return self.path / _JOURNAL

    def remember_storage(self, where: str | None) -> None:
        """Note where the study is, for who looks on; None: in the journal here.

        Args:
            where: its address without a password, or its file.

        Raises:
            SessionError: it can't be written.
        """
        note = self.path / _STORAGE
        try:
            if where is None:
                note.unlink(missing_ok=True)
            else:
                write_whole(note, f"{where}\n".encode())
        except OSError as error:
            raise SessionError(f"can't be written ({error.strerror})", where=note) from error

    def keep(self, found: Mapping[str, object]) -> None:
        """Write what the search found to ``search.json``."""
        write_json(self.path / "search.json", found)

    def take(self, number: int) -> TrialLock | None:
        """Become the one that works on this trial; None if a living process does."""
        path = trial_folder(self.path, number)
        path.mkdir(parents=True, exist_ok=True)
        if is_held(path):  # at once; the lock itself waits for a reader
            return None
        try:
            lock = Lock(path)
        except SessionError as error:
            if isinstance(error.__cause__, OSError):
                raise
            return None
        folder = HeldFolder(path)
        return TrialLock(lock, folder, Heartbeat(folder.descriptor))


def trial_folder(search: Path, number: int) -> Path:
    """Where the lock of a trial is, in the search's folder."""
    return search / "trials" / f"{number:04d}"


def storage_of(search: Path) -> str:
    """Where the study is whose folder this is, see ``SearchPlace.remember_storage``."""
    try:
        return read_regular(search / _STORAGE, _MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):  # none, which is the rule
        return str(search / _JOURNAL)


def key_of(search: Path) -> str:
    """The folder's key; '' if it can't be read."""
    try:
        return read_regular(search / "key", _MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return ""


def searches_in(sessions: Path) -> list[str]:
    """The names of the searches that have a folder beside these sessions."""
    found: list[Path] = []
    with contextlib.suppress(OSError):  # none, or not accessible
        found = list((sessions / FOLDER).iterdir())
    return sorted(one.name for one in found if is_file(one / "key"))


def delete_search(sessions: Path, name: str) -> None:
    """Remove a search's folder, with its study where that is in it; its sessions stay.

    Raises:
        SessionError: a process works on one of its trials, or the folder can't be removed.
    """
    path = sessions / FOLDER / name
    if any(is_held(folder) for folder in (path / "trials").glob("*")):
        raise SessionError(
            "can't be deleted while a process works on it", where=path, remedy="Stop it first."
        )
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise SessionError(f"can't be deleted ({error.strerror})", where=path) from error
