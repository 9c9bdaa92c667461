"""Remove a new session whose start was refused."""

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
    """Remove a new session if this error refused its start; return whether it was removed.

    A session refused for lack of disk space stays: it can be resumed once there is space.
    """
    is_refusal = error.exit_code in _REFUSALS and not isinstance(error, NoRoomError)
    return is_refusal and take_away(session, made)


def take_away(session: Session, made: os.stat_result) -> bool:
    """Remove a session whose run did not get past its data; return whether it was removed.

    A session stays if a run got as far as its network, if it holds files that aren't ours, or if
    another folder is now at its path.

    Args:
        session: a session that the caller created.
        made: status of its folder right after creation.
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
