"""Whether a session's final Finished event was written by the run itself.

It is easy to append lines to the events of an interrupted run. So once the test figures are in
events.jsonl, the run stores a digest of the file up to there in dataset.json. After that point only
a few kinds of events are valid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from core.events import Continued, Finished, Paused, Warned
from core.regular_file import open_regular
from core.store.checkpoint import LAST, newest_state
from core.store.event_file import Prefix, begins_with
from core.store.seals import SEALS, prefix_of
from core.store.session import Session

END = "end"
"""The key next to the seals in dataset.json."""

_MAY_FOLLOW = {kind.__name__ for kind in (Warned, Paused, Continued, Finished)}
_MOST_BYTES_BEHIND = 2**20


def seal_end(session: Session, events: Prefix) -> None:
    """Store the digest of events.jsonl up to and including the test figures."""
    described = session.read_json("dataset.json") or {}
    described[SEALS] = {**described.get(SEALS, {}), END: [events.size_bytes, events.digest]}
    session.write_json("dataset.json", described)


def is_finish(session: Session, last: Finished) -> bool:
    """Whether the run itself wrote this event, as far as known; earlier versions stored little.

    Raises:
        SessionError: dataset.json is not a JSON object.
    """
    seals = (session.read_json("dataset.json") or {}).get(SEALS)
    if isinstance(seals, Mapping) and END in seals:
        return _is_behind(session, prefix_of(seals[END]))
    return last.epochs <= _epochs_kept(session, otherwise=last.epochs)


def _is_behind(session: Session, sealed: Prefix | None) -> bool:
    if sealed is None:
        return False
    try:
        with open_regular(session.events_path) as events:
            if not begins_with(events.fileno(), sealed):
                return False
            events.seek(sealed.size_bytes, os.SEEK_SET)
            behind = events.read(_MOST_BYTES_BEHIND + 1)
    except OSError:
        return False
    whole = behind.split(b"\n")[:-1]
    return len(behind) <= _MOST_BYTES_BEHIND and all(map(_may_follow, whole))


def _may_follow(line: bytes) -> bool:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("event") in _MAY_FOLLOW


def _epochs_kept(session: Session, *, otherwise: int) -> int:
    """Epochs done at the newest checkpoint; ``otherwise`` without a checkpoint."""
    state: Mapping[str, Any] = newest_state(session.checkpoints, LAST) or {}
    progress = state.get("progress")
    epoch = progress.get("epoch") if isinstance(progress, Mapping) else None
    return epoch - 1 if isinstance(epoch, int) else otherwise
