"""A session's own files and folders are no links: written through one, a file elsewhere is lost."""

from __future__ import annotations

import stat
from pathlib import Path

from core.errors import SessionError

_FILES = ("lock", "events.jsonl", "heartbeat", "log.txt", "patients.key")
FOLDERS = ("checkpoints", "predictions", "evaluation", "cams", "requests")
"""Of a session; they are made with it."""


def refuse_links(session: Path) -> None:
    """Look at what a writer will write into, before it does.

    Raises:
        SessionError: one of the files is a link, a folder, a pipe or a device, or one of the
            folders is a link or a file.
    """
    for names, is_right, right in (
        (_FILES, stat.S_ISREG, "a file"),
        (FOLDERS, stat.S_ISDIR, "a folder"),
    ):
        for name in names:
            path = session / name
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SessionError(f"can't be read ({error.strerror})", where=path) from error
            if not is_right(mode):
                found = "a link" if stat.S_ISLNK(mode) else "something else"
                raise SessionError(
                    f"is {found}, where a session has {right} of its own",
                    where=path,
                    why="What is written there could overwrite something outside the session.",
                    remedy="Move it away; keep whole sessions elsewhere with --sessions DIR.",
                )
