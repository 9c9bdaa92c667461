"""How far a session's trackers are, in its tracking.json: a run that goes on continues them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import SessionError
from core.store.session import Session

TRACKING_FILE = "tracking.json"


@dataclass(frozen=True)
class TrackerState:
    """What one tracker was told.

    Attributes:
        offset: bytes of events.jsonl that were told.
        first, last: see ``Telling``.
        run_id: MLflow's identifier of the run.
        is_whole: whether its process ended by itself. One that was killed may have told more than
            stands here.
    """

    offset: int = 0
    first: float = 0.0
    last: float = 0.0
    run_id: str = ""
    is_whole: bool = True


def kept_state(session: Session, tracker: str) -> TrackerState:
    """What the tracker was told before; nothing if that is unknown."""
    value = _kept(session).get(tracker)
    if not isinstance(value, Mapping):
        return TrackerState()
    state = TrackerState()
    types = {item.name: type(getattr(state, item.name)) for item in dataclasses.fields(state)}
    known = {name: value.get(name, getattr(state, name)) for name in types}
    if any(not isinstance(known[name], kind) for name, kind in types.items()):
        return TrackerState()
    return TrackerState(**known)


def keep_state(session: Session, tracker: str, state: TrackerState) -> None:
    """Save it.

    Raises:
        OSError: the disk is full or fails.
    """
    session.write_json(TRACKING_FILE, _kept(session) | {tracker: dataclasses.asdict(state)})


def _kept(session: Session) -> dict[str, Any]:
    try:
        return session.read_json(TRACKING_FILE) or {}
    except SessionError:  # damaged: everything is told again
        return {}
