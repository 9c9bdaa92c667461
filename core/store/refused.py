"""A session whose start was refused: nothing of it began, and none of it is kept."""

from __future__ import annotations

import contextlib
import os
import shutil

from core.events import ModelReady
from core.store.plain_files import FOLDERS
from core.store.session import Session

_OURS = frozenset(FOLDERS) | {
    *("recipe.toml", "events.jsonl", "log.txt", "lock", "heartbeat"),
    *("dataset.json", "split.csv", "environment.json"),
}


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
