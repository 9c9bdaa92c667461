"""A session's own files and folders are not links, and no others' who could put them there.

Written through a link, a file elsewhere is lost. In a folder that everybody may write to, anybody
can make a session of a name that we will go on with: its weights and its recipe would be theirs.
"""

from __future__ import annotations

import stat
from pathlib import Path

from core.errors import SessionError
from core.store.own_folder import planted

_FILES = ("lock", "events.jsonl", "heartbeat", "log.txt", "patients.key")
FOLDERS = ("checkpoints", "predictions", "evaluation", "cams", "requests")
"""Of a session; they are made with it."""


def refuse_links(session: Path) -> None:
    """Look at what a writer will write into, before it does.

    Raises:
        SessionError: one of the files is a link, a folder, a pipe or a device, or one of the
            folders is a link or a file; or another user may have put the session there.
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
                    f"is {found}, where a session has {right} of its own",
                    where=path,
                    why="What is written there could overwrite something outside the session.",
                    remedy="Move it away; keep whole sessions elsewhere with --sessions DIR.",
                )


def _refuse_others(session: Path) -> None:
    try:
        # A whole session may be a link: to be looked at where it is, and where it leads.
        others = planted(session) or planted(session.resolve())
    except OSError as error:
        raise SessionError(f"can't be read ({error.strerror})", where=session) from error
    if others is not None:
        raise SessionError(
            f"{others}, in a place that everybody may write to",
            where=others.folder,
            why="Whatever stands in it could be anybody's: recipe, weights and figures.",
            remedy="Keep sessions in a folder of your own, with --sessions DIR. Where you trust "
            "that user, copy the session there (cp -r) and go on with the copy.",
        )
