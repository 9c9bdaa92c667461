"""Create, open and list the sessions of a folder."""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
import shutil
from datetime import datetime
from pathlib import Path

from core.errors import SessionError
from core.findings import did_you_mean
from core.recipe import Recipe
from core.recipe_toml import recipe_toml
from core.store.files import (
    is_file,
    is_folder,
    token,
    write_whole,
)
from core.store.leftovers import UNFINISHED, drop_half_made
from core.store.plain_files import FOLDERS
from core.store.session import Session

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def create_session(sessions: Path, recipe: Recipe, name: str | None = None) -> Session:
    """Create a directory with the recipe under ``sessions``, before anything is loaded.

    The default name is made of the time and the recipe's name; two in one second get two
    directories.

    Raises:
        SessionError: the name is taken or invalid, or the folder can't be created.
    """
    if name is not None:
        check_name(name)
    dated = f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.name}"
    names = [name] if name else (dated if i == 1 else f"{dated}-{i}" for i in itertools.count(1))
    try:
        sessions.mkdir(parents=True, exist_ok=True)
        drop_half_made(sessions)
        for candidate in names:
            if _made(sessions / candidate, recipe):
                return Session(sessions / candidate)
    except OSError as error:
        raise SessionError(
            f"a session can't be created here ({error.strerror})",
            where=sessions,
            remedy="Choose another folder with --sessions DIR.",
        ) from error
    raise SessionError(
        "a session of this name exists already",
        where=sessions / str(name),
        remedy="Continue it with --resume, or choose another name.",
    )


def _made(path: Path, recipe: Recipe) -> bool:
    """Create the directory atomically; False if the name is taken."""
    if path.exists():
        return False
    # Not by process number: two containers on one disk may have the same one.
    unfinished = path.parent / f".{path.name}.{token()}"
    try:
        unfinished.mkdir()
        (unfinished / UNFINISHED).touch()
        for folder in FOLDERS:
            (unfinished / folder).mkdir()
        write_whole(unfinished / "recipe.toml", recipe_toml(recipe).encode())
        for name in ("lock", "events.jsonl"):  # so that a full disk can still be reported in them
            (unfinished / name).touch()
        (unfinished / UNFINISHED).unlink()
        # Renaming onto a non-empty directory fails: of two simultaneous starts one wins.
        unfinished.rename(path)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def open_session(name_or_path: str | Path, sessions: Path) -> Session:
    """Open the session of this name under ``sessions``, or at this path.

    Raises:
        SessionError: there is none, or the folder is not a session.
    """
    if not str(name_or_path):
        raise SessionError(
            "the session's name is empty",
            remedy="Is the variable set that should hold the name? See cxr-tui sessions.",
        )
    for path in (sessions / name_or_path, Path(name_or_path)):
        if is_file(path / "recipe.toml"):
            return Session(path.resolve())
    folder = next((p for p in (sessions / name_or_path, Path(name_or_path)) if is_folder(p)), None)
    if folder is not None:
        raise SessionError(
            "is not a session: it has no recipe.toml",
            where=folder,
            remedy="Give the name of a session: see cxr-tui sessions.",
        )
    known = [session.name for session in list_sessions(sessions)]
    hint = did_you_mean(str(name_or_path), known)
    raise SessionError(
        f"there is no session of this name under {sessions}",
        where=name_or_path,
        remedy=hint or "See cxr-tui sessions, or name the sessions' folder with --sessions DIR.",
    )


def list_sessions(sessions: Path) -> list[Session]:
    """Every session of the folder, the newest first."""
    found: list[tuple[float, str, Session]] = []
    with contextlib.suppress(OSError):  # missing, not a folder, or not readable
        for path in sessions.iterdir():
            if is_file(path / "recipe.toml") and not path.name.startswith("."):
                session = Session(path)
                with contextlib.suppress(OSError):  # deleted or renamed meanwhile
                    found.append((session.made_at, session.name, session))
    return [session for _, _, session in sorted(found, key=lambda one: one[:2], reverse=True)]


def delete_session(session: Session) -> None:
    """Remove a session's folder permanently.

    Raises:
        SessionError: a process writes it, or the folder can't be removed.
    """
    _refuse_written(session, "deleted")
    try:
        shutil.rmtree(session.path)
    except OSError as error:
        raise SessionError(f"can't be deleted ({error.strerror})", where=session.path) from error


def rename_session(session: Session, name: str) -> Session:
    """Rename a session within its folder.

    Raises:
        SessionError: a process writes it, the name is taken or not allowed, or the disk refuses.
    """
    check_name(name)
    renamed = session.path.parent / name
    _refuse_written(session, "renamed")
    if renamed.exists():
        raise SessionError("a session of this name exists already", where=renamed)
    try:
        session.path.rename(renamed)
    except OSError as error:
        raise SessionError(f"can't be renamed ({error.strerror})", where=session.path) from error
    return Session(renamed)


def _refuse_written(session: Session, what: str) -> None:
    if session.is_being_written():
        raise SessionError(
            f"can't be {what} while a process writes to it",
            where=session.path,
            remedy="Stop it first. A suspended process also locks it: end that one.",
        )


def is_session_name(name: str) -> bool:
    """Whether a session can be called so."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Refuse an invalid session name.

    Raises:
        SessionError: it is empty, too long, or has characters that a directory's name shouldn't.
    """
    if not name:
        raise SessionError(
            "the name is empty",
            where="--session",
            why="A requeued job would start a new session each time.",
            remedy="Is the variable set that should hold it? Without a name, leave --session out.",
        )
    if not is_session_name(name):
        raise SessionError(
            "is not a valid session name",
            where=f"--session {name}",
            remedy="Use letters, digits, dot, dash and underscore, at most 120.",
        )
