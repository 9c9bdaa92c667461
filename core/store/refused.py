"""A session whose start was refused: nothing of it began, and none of it is kept."""

from __future__ import annotations

import contextlib
import os
import shutil

from core.errors import CxrError, DataError, NoRoomError, UsageError
from core.events import ModelReady
from core.store.plain_files import FOLDERS
from core.store.session import Session

_OURS = frozenset(FOLDERS) | {
    *("recipe.toml", "events.jsonl", "log.txt", "lock", "heartbeat"),
    *("dataset.json", "split.csv", "environment.json"),
}

_REFUSALS = (UsageError.exit_code, DataError.exit_code)


def take_away_refused(session: Session, made: os.stat_result, error: CxrError) -> bool:
    """Remove a new session whose start this error refused; whether it is gone.

    One for which a disk is too small stays: once there is room it can be gone on with.
    """
    is_refusal = error.exit_code in _REFUSALS and not isinstance(error, NoRoomError)
    return is_refusal and take_away(session, made)


def take_away(session: Session, made: os.stat_result) -> bool:
    """Remove a session that came no further than its data; whether it is gone.

    Left alone are a session of which a run came as far as its network, one that holds files which
    aren't ours, and whatever else stands in its place by now.

    Args:
        session: made by whoever calls.
        made: its folder as it was made.
    """
    with contextlib.suppress(OSError):
        if not os.path.samestat(made, session.path.lstat()):
            return False
        if any(isinstance(event, ModelReady) for event in session.milestones()):
            return False
        if not _OURS.issuperset(path.name for path in session.path.iterdir()):
            return False
        shutil.rmtree(session.path)
        return True
    return False
