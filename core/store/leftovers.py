"""Remove half-written files of killed writers, but no files of the user.

People keep notes, copies and hidden files next to ours. So a file is removed only if its name is
one that we write in exactly that place, and only if no process holds its lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from pathlib import Path

from core.store.files import TOKEN, open_folder
from core.store.plain_files import FOLDERS

# Leftovers of checkpoints are recognised by generation: see core.store.checkpoint.
_WRITTEN_IN = {
    ".": r"(recipe\.toml|(environment|dataset|notes)\.json|split\.csv|patients\.key|"
    r"results-\w+\.(csv|md))",
    "predictions": r"(val|test)\.csv",
    "evaluation": r"(val|test|localization)\.json",
    "cams": r"(cams\.csv|.+\.png)",
    "charts": r".+\.(csv|png)",
    "requests": r"(stop|pause|checkpoint|try-rates)",
}
UNFINISHED = ".unfinished"
"""The file that marks a session as still being created; a folder without it is never removed."""

_HALF_MADE = re.compile(rf"\..+\.{TOKEN}")
_HALF_WRITTEN_RECIPE = re.compile(rf"\.recipe\.toml\.{TOKEN}")
_OLD_SECONDS = 3600.0
_HELD_BY_NOW_SECONDS = 60.0
"""A writer that creates a file has locked it within this time."""


def drop_leftovers(session: Path) -> None:
    """Remove half-written files of a session. Links aren't followed.

    A writer holds the file's lock, which ends with its process. On a file system without locks, a
    file counts as a leftover after an hour without a write.
    """
    for folder, names in _WRITTEN_IN.items():
        leftover = re.compile(rf"\.{names}\.{TOKEN}")
        with (
            contextlib.suppress(OSError),
            open_folder(session / folder, follow=folder == ".") as at,
        ):
            for name in filter(leftover.fullmatch, os.listdir(at)):  # noqa: PTH208 - a descriptor
                with contextlib.suppress(OSError):
                    if _is_left(name, at):
                        os.unlink(name, dir_fd=at)


def drop_half_made(sessions: Path) -> None:
    """Remove incomplete sessions of killed processes: a recipe and empty folders."""
    with contextlib.suppress(OSError):
        for entry in sessions.iterdir():
            if _HALF_MADE.fullmatch(entry.name):
                with contextlib.suppress(OSError), open_folder(entry) as folder:
                    _drop_half_made(entry, folder)


def _drop_half_made(path: Path, folder: int) -> None:
    """Does nothing if our mark is missing, if the folder holds anything else, or if it is
    recent."""
    names = set(os.listdir(folder))
    if UNFINISHED not in names:
        return
    recipes = {name for name in names if _HALF_WRITTEN_RECIPE.fullmatch(name)}
    empty = names & {UNFINISHED, "lock", "events.jsonl"}
    of_ours = recipes | empty | names & {*FOLDERS, "recipe.toml"}
    statuses = {name: os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names}
    youngest = time.time() - _OLD_SECONDS
    if (
        names != of_ours
        or any(statuses[name].st_size for name in empty)
        or not all(_is_empty(name, folder) for name in names & {*FOLDERS})
        or max(os.fstat(folder).st_mtime, *(s.st_mtime for s in statuses.values()), 0.0) > youngest
    ):
        return
    for name in sorted(names & {*FOLDERS}):
        os.rmdir(name, dir_fd=folder)
    for name in sorted(names - {*FOLDERS, UNFINISHED}):
        os.unlink(name, dir_fd=folder)
    os.unlink(UNFINISHED, dir_fd=folder)  # last, so that after a kill the next process can finish
    path.rmdir()


def _is_empty(name: str, folder: int) -> bool:
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        return not os.listdir(opened)  # noqa: PTH208 - a descriptor
    finally:
        os.close(opened)


def _is_left(name: str, folder: int) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened = os.open(name, flags, dir_fd=folder)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            return False
        age_seconds = time.time() - status.st_mtime
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks here
            return age_seconds > _OLD_SECONDS
        return age_seconds > _HELD_BY_NOW_SECONDS
    finally:
        os.close(opened)
