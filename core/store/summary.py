"""A session in one line: what the list of sessions shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import CxrError
from core.events import EpochDone, Event, Resumed
from core.store.event_log import milestones
from core.store.session import Session

SILENT_AFTER_SECONDS = 120.0
"""Without a heartbeat for so long, a session that nobody ended counts as silent."""


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

    @classmethod
    def of(cls, session: Session) -> SessionSummary:
        """Read the session's events, leaving out its steps."""
        done: dict[int, EpochDone] = {}
        last, message = None, ""
        for event in milestones(session.events_path):
            last = event
            if isinstance(event, EpochDone):
                done[event.epoch] = event
            elif isinstance(event, Resumed):
                done = {n: epoch for n, epoch in done.items() if epoch.step <= event.step}
            message = str(getattr(event, "message", "")) if event.ends_run else ""
        best = next((epoch for epoch in reversed(done.values()) if epoch.is_best), None)
        try:
            epochs = session.recipe.train.epochs
        except CxrError as error:
            epochs, message = 0, str(error)
        return cls(
            name=session.name,
            state=_state(session, last),
            epoch=max(done, default=0),
            epochs=epochs,
            best_val_auroc=best.mean_auroc if best else None,
            best_epoch=best.epoch if best else None,
            updated=last.time if last else session.made_at,
            num_bytes=_folder_bytes(session.path),
            message=message,
        )


def _state(session: Session, last: Event | None) -> str:
    if last is not None and last.ends_run:
        return type(last).__name__.lower()
    if session.is_being_written():
        return "running"
    silence = session.seconds_since_heartbeat()
    if silence is None:
        return "new"
    return "silent" if silence > SILENT_AFTER_SECONDS else "interrupted"


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
