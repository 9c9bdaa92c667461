"""What killed writers left of half-written files: told from the user's own, and removed.

People keep notes, copies and hidden files beside ours. So nothing goes by its look alone: only
what we write in that very place has such a name, and only once nobody holds it.
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

# Those of checkpoints are known by their generations: see core.store.checkpoint.
_WRITTEN_IN = {
    ".": r"(recipe\.toml|(environment|dataset)\.json|split\.csv|patients\.key|"
    r"results-\w+\.(csv|md))",
    "predictions": r"(val|test)\.csv",
    "evaluation": r"(val|test|localization)\.json",
    "cams": r"(cams\.csv|.+\.png)",
    "charts": r".+\.(csv|png)",
    "requests": r"(stop|pause|checkpoint|try-rates)",
}
UNFINISHED = ".unfinished"
"""The file that says a session is still being made; one without it is somebody's."""

_HALF_MADE = re.compile(rf"\..+\.{TOKEN}")
_HALF_WRITTEN_RECIPE = re.compile(rf"\.recipe\.toml\.{TOKEN}")
_OLD_SECONDS = 3600.0
_HELD_BY_NOW_SECONDS = 60.0
"""By then a writer that makes a file has taken its lock too."""


def drop_leftovers(session: Path) -> None:
    """Remove what is left of files that were being written in a session. Links aren't followed.

    Who writes one holds its lock, which ends with the process. Where the file system has no locks,
    what nobody has written to for an hour counts as left.
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
    """Remove sessions that a killed process had not made to the end: a recipe in empty folders."""
    with contextlib.suppress(OSError):
        for entry in sessions.iterdir():
            if _HALF_MADE.fullmatch(entry.name):
                with contextlib.suppress(OSError), open_folder(entry) as folder:
                    _drop_half_made(entry, folder)


def _drop_half_made(path: Path, folder: int) -> None:
    """Nothing where our mark is missing, where anything else is in it, or where it is young."""
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
    os.unlink(UNFINISHED, dir_fd=folder)  # last: whoever is killed before leaves it to the next
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
