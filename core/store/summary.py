"""A session in one line: what the list of sessions shows."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import CxrError
from core.events import Diagnosed, EpochDone, Event, Finished, Paused, Resumed
from core.store.answers import StandingAnswers
from core.store.event_log import MilestoneReader
from core.store.finish import is_finish
from core.store.heartbeat import SILENT_AFTER_SECONDS
from core.store.session import Session


@dataclass(frozen=True)
class SessionSummary:
    """What the list of sessions shows; test figures are not part of it, on purpose."""

    name: str
    state: str
    epoch: int
    epochs: int
    best_val_auroc: float | None
    best_epoch: int | None
    updated: float
    num_bytes: int
    message: str
    health: str
    """How grave the gravest answer of a health check is; empty where none has answered."""
    health_text: str

    @classmethod
    def of(cls, session: Session) -> SessionSummary:
        """Read the session's events, leaving out its steps."""
        return SessionWatch(session).summary()


class SessionWatch:
    """A session that is looked at again and again: each time only what is new is read."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._milestones = MilestoneReader(session.events_path)
        self._done: dict[int, EpochDone] = {}
        self._last: Event | None = None
        self._is_forged: bool | None = None
        self._message = ""
        self._answers = StandingAnswers()

    def summary(self) -> SessionSummary:
        """How the session stands now."""
        for event in self._milestones.new_events():
            self._take(event)
        best = next((epoch for epoch in reversed(self._done.values()) if epoch.is_best), None)
        gravest = next(iter(self._answers.in_order().values()), None)
        message = self._message
        try:
            epochs = self.session.recipe.train.epochs
        except CxrError as error:
            epochs, message = 0, str(error)
        return SessionSummary(
            name=self.session.name,
            state=self._state(),
            epoch=max(self._done, default=0),
            epochs=epochs,
            best_val_auroc=_finite(best.mean_auroc) if best else None,
            best_epoch=best.epoch if best else None,
            updated=self._last.time if self._last else self.session.made_at,
            num_bytes=_folder_bytes(self.session.path),
            message=message,
            health=gravest.severity if gravest else "",
            health_text=gravest.text if gravest else "",
        )

    def _state(self) -> str:
        last = self._last
        if isinstance(last, Finished):
            if self._is_forged is None:  # asked once: all its events are read for it
                self._is_forged = not _is_believed(self.session, last)
            last = None if self._is_forged else last
        return _state(self.session, last)

    def _take(self, event: Event) -> None:
        self._last, self._is_forged = event, None
        if isinstance(event, EpochDone):
            self._done[event.epoch] = event
        elif isinstance(event, Resumed):
            self._done = {n: epoch for n, epoch in self._done.items() if epoch.step <= event.step}
            self._answers.drop_after(event.step)
        elif isinstance(event, Diagnosed):
            self._answers.take(event)
        self._message = str(getattr(event, "message", "")) if event.ends_run else ""


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _is_believed(session: Session, last: Finished) -> bool:
    try:
        return is_finish(session, last)
    except CxrError:
        return False


def _state(session: Session, last: Event | None) -> str:
    if last is not None and last.ends_run:
        return type(last).__name__.lower()
    silence = session.seconds_since_heartbeat()
    # Before the lock: a suspended process holds it, and nothing goes on there.
    if silence is not None and silence > SILENT_AFTER_SECONDS:
        return "silent"
    if session.is_being_written():
        return "paused" if isinstance(last, Paused) else "running"
    return "new" if silence is None else "interrupted"


def _folder_bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):  # what is closed to us, or just gone, counts nothing
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(where) / name).lstat().st_size
    return total
