"""The summary of a session for the list of sessions."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from core.errors import CxrError
from core.events import Diagnosed, EpochDone, Event, Finished, ModelReady, Paused, Resumed
from core.recipe import Recipe
from core.store import notes
from core.store.answers import StandingAnswers
from core.store.event_log import MilestoneReader
from core.store.finish import is_finish
from core.store.heartbeat import SILENT_AFTER_SECONDS
from core.store.sealed import is_sealed
from core.store.session import Session

_Read = TypeVar("_Read")

STATES = (
    *("running", "paused", "finished", "stopped"),
    *("failed", "silent", "interrupted", "new"),
)
"""Every state of a session."""


@dataclass(frozen=True)
class SessionSummary:
    """One line of the list of sessions; it deliberately has no test figures."""

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
    """The highest severity of the health checks; empty without any."""
    health_text: str
    findings: tuple[str, ...] = ()
    size_px: int | None = None
    images_per_second: float | None = None
    """From the last recorded step."""
    device: str = ""
    """Such as ``NVIDIA H200 (cuda:0)``; empty before the network is on the device."""
    tags: tuple[str, ...] = ()
    note: str = ""
    sealed: bool = False
    """Whether its test part is closed, see ``core.store.sealed``."""
    notes_error: str = ""
    """Why notes.json can't be read; empty where it can, or isn't there."""

    @classmethod
    def of(cls, session: Session) -> SessionSummary:
        """Read the session's events except steps."""
        return SessionWatch(session).summary()


@dataclass(frozen=True)
class SessionDetails:
    """What one session is shown by, beside its summary.

    Attributes:
        recipe: None where it can't be read.
        epochs: those that stand, in order.
        base_rate_loss: train's, as far as it is known.
    """

    recipe: Recipe | None
    epochs: tuple[EpochDone, ...]
    base_rate_loss: float | None


class SessionWatch:
    """Summarises a session repeatedly, reading only new events each time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._milestones = MilestoneReader(session.events_path)
        self._done: dict[int, EpochDone] = {}
        self._last: Event | None = None
        self._is_forged: bool | None = None
        self._message = ""
        self._answers = StandingAnswers()
        self._model: ModelReady | None = None
        self._recipe = _FileWatch(session.path / "recipe.toml", lambda: session.recipe)
        self._notes = _FileWatch(session.path / notes.FILE, lambda: notes.read_notes(session))

    def details(self) -> SessionDetails:
        """More of the session, as the last summary found it; nothing is read."""
        found = self._recipe.last
        return SessionDetails(
            recipe=found if isinstance(found, Recipe) else None,
            epochs=tuple(epoch for _, epoch in sorted(self._done.items())),
            base_rate_loss=self._model.base_rate_loss if self._model else None,
        )

    def summary(self) -> SessionSummary:
        """The current summary."""
        for event in self._milestones.new_events():
            self._take(event)
        best = next((epoch for epoch in reversed(self._done.values()) if epoch.is_best), None)
        gravest = next(iter(self._answers.in_order().values()), None)
        found, kept = self._recipe.now(), self._notes.now()
        recipe = found if isinstance(found, Recipe) else None
        step = self._milestones.last_step()
        return SessionSummary(
            name=self.session.name,
            state=self._state(),
            epoch=max(self._done, default=0),
            epochs=recipe.train.epochs if recipe else 0,
            best_val_auroc=_finite(best.mean_auroc) if best else None,
            best_epoch=best.epoch if best else None,
            updated=self._last.time if self._last else self._made_at(),
            num_bytes=_folder_bytes(self.session.path),
            message=self._message if recipe else str(found),
            health=gravest.severity if gravest else "",
            health_text=gravest.text if gravest else "",
            findings=recipe.dataset.findings if recipe else (),
            size_px=recipe.image.size_px if recipe else None,
            images_per_second=_finite(step.images_per_second) if step else None,
            device=self._model.device_name if self._model else "",
            tags=kept.tags if isinstance(kept, notes.SessionNotes) else (),
            note=kept.note if isinstance(kept, notes.SessionNotes) else "",
            sealed=recipe is not None and is_sealed(self.session, recipe.evaluate),
            notes_error=str(kept) if isinstance(kept, CxrError) else "",
        )

    def _made_at(self) -> float:
        with contextlib.suppress(OSError):  # deleted or renamed since it was listed
            return self.session.made_at
        return 0.0

    def _state(self) -> str:
        last = self._last
        if isinstance(last, Finished):
            if self._is_forged is None:  # checked once, since it reads all events
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
        elif isinstance(event, ModelReady):
            self._model = event
        self._message = str(getattr(event, "message", "")) if event.ends_run else ""


class _FileWatch(Generic[_Read]):
    """What a file holds, or the error in it; read again if the file has changed."""

    def __init__(self, path: Path, read: Callable[[], _Read]) -> None:
        self._path, self._read_it = path, read
        self._status: tuple[int, ...] | None = None
        self.last: _Read | CxrError | None = None

    def now(self) -> _Read | CxrError:
        """The content now."""
        try:
            found = self._path.lstat()
            status = (found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            status = None
        if self.last is None or status is None or status != self._status:
            try:
                self.last = self._read_it()
            except CxrError as error:
                self.last = error
            self._status = status
        return self.last


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
    # Before the lock: a suspended process holds it but makes no progress.
    if silence is not None and silence > SILENT_AFTER_SECONDS:
        return "silent"
    if session.is_being_written():
        return "paused" if isinstance(last, Paused) else "running"
    return "new" if silence is None else "interrupted"


def _folder_bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):  # inaccessible or just removed folders count as empty
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(where) / name).lstat().st_size
    return total
