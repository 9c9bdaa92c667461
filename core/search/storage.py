"""Where a study is kept: a journal file, SQLite, or any database that Optuna takes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from sqlalchemy.exc import SQLAlchemyError

from core.errors import DataError, StoppedError, UsageError

STORAGE_ERRORS = (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError)
_SQLITE = (".db", ".sqlite", ".sqlite3")
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")
_HIDDEN = ":…@"
_LOOKING_SECONDS = 10
_COME_BACK = "The trials are shown again once it can be read. Its sessions are intact."


class _FlockLock(BaseJournalFileLock):
    """Freed by the kernel when its process dies; a line that it died in is removed."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        descriptor = os.open(f"{self._journal}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._drop_torn_line()
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let others write."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _drop_torn_line(self) -> None:
        """A killed writer, or a full disk, may have left the last line without its end."""
        with self._journal.open("r+b") as journal:
            size = journal.seek(0, os.SEEK_END)
            if not size:
                return
            journal.seek(size - 1)
            if journal.read(1) == b"\n":
                return
            journal.seek(0)
            journal.truncate(journal.read().rfind(b"\n") + 1)


def open_storage(where: str, *, may_make: bool) -> BaseStorage:
    """The storage of that address or file.

    Args:
        where: an address with ``://``, a file of SQLite (``.db``, ``.sqlite``), or a journal file.
        may_make: whether a file that isn't there is made.

    Raises:
        UsageError: no such file, or a driver is missing.
        DataError: it doesn't answer.
    """
    told = hidden(where)
    if "://" not in where and not may_make and not Path(where).is_file():
        raise UsageError(
            "there is no such storage",
            where=where,
            remedy="Start the search without --join, or name its --storage.",
        )
    try:
        if "://" not in where and not where.endswith(_SQLITE):
            path = Path(where)
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(path), _FlockLock(path)))
        url = where if "://" in where else f"sqlite:///{Path(where).absolute()}"
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise UsageError(
            f"needs {error.name or 'a database driver'}, which is not installed",
            where=told,
            remedy="For PostgreSQL: pip install pg8000, and postgresql+pg8000://USER@HOST/NAME.",
        ) from error
    except (*STORAGE_ERRORS, ValueError) as error:
        raise DataError(
            f"the storage can't be opened ({_short(error)})",
            where=told,
            remedy="Is the server running, and may this user write there?",
        ) from error


def storage_for_reading(where: str) -> BaseStorage:
    """A storage that is looked at and never written, which is there already.

    Raises:
        DataError: there is no such file.
        ImportError: a driver is missing.
        Exception: one of ``STORAGE_ERRORS``; it doesn't answer.
    """
    if "://" not in where and not Path(where).is_file():
        raise DataError("the search's storage is gone", where=where, remedy=_COME_BACK)
    if "://" not in where and not where.endswith(_SQLITE):
        return JournalStorage(JournalFileBackend(where, _FlockLock(Path(where))))
    url = where if "://" in where else f"sqlite:///{Path(where).absolute()}"
    engine: dict[str, object] = {"pool_pre_ping": True}
    if "+pg8000" in url:
        engine["connect_args"] = {"timeout": _LOOKING_SECONDS}
    return RDBStorage(url, engine_kwargs=engine, skip_table_creation=True)


@contextlib.contextmanager
def reading_named(where: str) -> Iterator[None]:
    """Turn a storage that can't be read into an error with a remedy.

    Raises:
        DataError: it doesn't answer, lacks the search, or is damaged.
    """
    try:
        yield
    except KeyError as error:
        raise DataError("the storage has no search of this name", where=hidden(where)) from error
    except (*STORAGE_ERRORS, ValueError) as error:
        asks = " Its password is not kept here." if _HIDDEN in where else ""
        raise DataError(
            f"the search's storage can't be read ({_short(error)})",
            where=hidden(where),
            remedy=f"{_COME_BACK}{asks}",
        ) from error


@contextlib.contextmanager
def storage_errors_named(where: str) -> Iterator[None]:
    """Turn a storage that goes away into a stop: the same command goes on later.

    Raises:
        StoppedError: it went away.
    """
    try:
        yield
    except STORAGE_ERRORS as error:
        raise StoppedError(
            f"the search's storage does not answer ({_short(error)})",
            where=hidden(where),
            why="Its sessions are intact.",
            remedy="Once it answers again, the same command goes on.",
        ) from error


def hidden(where: str) -> str:
    """The address without its password."""
    return _PASSWORD.sub(rf"\1{_HIDDEN}", where)


def _short(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:  # the path is told already
        return cause.strerror
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0][:300]
