"""Refuse session files and folders that are links or that another user may have planted.

Writing through a link overwrites a file elsewhere. In a world-writable folder anybody can create a
session under a name that we will resume: its weights and recipe would be theirs.
"""

from __future__ import annotations

import stat
from pathlib import Path

from core.errors import SessionError
from core.store.own_folder import planted

_FILES = ("lock", "events.jsonl", "heartbeat", "log.txt", "patients.key")
FOLDERS = ("checkpoints", "predictions", "evaluation", "cams", "requests")
"""The folders of a session, created with it."""


def refuse_links(session: Path) -> None:
    """Check the files and folders that a writer will write to.

    Raises:
        SessionError: one of the files is a link, a folder, a pipe or a device, or one of the
            folders is a link or a file; or another user may have planted the session.
    """
    _refuse_others(session)
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
                    f"is {found}, but a session needs {right} of its own there",
                    where=path,
                    why="What is written there could overwrite something outside the session.",
                    remedy="Move it away; keep whole sessions elsewhere with --sessions DIR.",
                )


def _refuse_others(session: Path) -> None:
    try:
        # The session folder itself may be a link: check the link and its target.
        others = planted(session) or planted(session.resolve())
    except OSError as error:
        raise SessionError(f"can't be read ({error.strerror})", where=session) from error
    if others is not None:
        raise SessionError(
            f"{others}, in a world-writable place",
            where=others.folder,
            why="Its recipe, weights and figures could be anybody's.",
            remedy="Keep sessions in your own folder, with --sessions DIR. If you trust that user, "
            "copy the session there (cp -r) and continue the copy.",
        )
