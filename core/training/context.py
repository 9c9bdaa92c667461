"""What a run carries along through everything that it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.events import Event
from core.store.session import Session
from core.training.control import Control
from core.training.room import Keep


@dataclass(frozen=True)
class RunContext:
    """One run, for all who work on it.

    Attributes:
        session: its folder and files, wherever they are moved.
        control: what it was asked to do.
        record: takes events, in their order.
        keep: runs what writes to the session; waits where the disk is full.
    """

    session: Session
    control: Control
    record: Callable[[Event], None]
    keep: Keep
