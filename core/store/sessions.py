"""The sessions of a folder: made, opened by name or path, listed."""

from __future__ import annotations

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
    """A new directory under ``sessions`` that holds the recipe, before anything is loaded.

    Without a name it is called after the time and the recipe; two in one second get two
    directories.

    Raises:
        SessionError: the name is taken or can't be a directory's, or the folder can't be made.
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
    # Not by the process's number: two containers on one disk may both have it.
    unfinished = path.parent / f".{path.name}.{token()}"
    try:
        unfinished.mkdir()
        (unfinished / UNFINISHED).touch()
        for folder in FOLDERS:
            (unfinished / folder).mkdir()
        write_whole(unfinished / "recipe.toml", recipe_toml(recipe).encode())
        for name in ("lock", "events.jsonl"):  # so that a full disk can be told of in them
            (unfinished / name).touch()
        (unfinished / UNFINISHED).unlink()
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
        SessionError: there is none, or the folder is not a session.
    """
    if not str(name_or_path):
        raise SessionError(
            "no session is named",
            remedy="Is the variable set that was to give its name? See cxr-tui sessions.",
        )
    for path in (sessions / name_or_path, Path(name_or_path)):
        if is_file(path / "recipe.toml"):
            return Session(path.resolve())
    folder = next((p for p in (sessions / name_or_path, Path(name_or_path)) if is_folder(p)), None)
    if folder is not None:
        raise SessionError(
            "is not a session: it has no recipe.toml",
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


def check_name(name: str) -> None:
    """Refuse what can be no session's name.

    Raises:
        SessionError: it is empty, too long, or holds what a directory's name shouldn't.
    """
    if not name:
        raise SessionError(
            "the name is empty",
            where="--session",
            why="A job that is queued again would begin anew each time.",
            remedy="Is the variable set that was to give it? Without a name, leave --session out.",
        )
    if not _NAME.fullmatch(name):
        raise SessionError(
            "can't be a session's name",
            where=f"--session {name}",
            remedy="Use letters, digits, dot, dash and underscore; 120 at most.",
        )
