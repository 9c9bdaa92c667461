"""What every part of a run shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.events import Event
from core.store.session import Session
from core.training.control import Control
from core.training.room import Keep


@dataclass(frozen=True)
class RunContext:
    """One run, as its parts see it.

    Attributes:
        session: the session directory and its files, also if moved.
        control: requests to the run.
        record: receives events in order.
        keep: runs a write to the session; waits while the disk is full.
    """

    session: Session
    control: Control
    record: Callable[[Event], None]
    keep: Keep
