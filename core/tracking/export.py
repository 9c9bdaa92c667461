"""Past sessions for TensorBoard and MLflow: their events, told as those of a run are."""

from __future__ import annotations

from pathlib import Path

from core.errors import SessionError
from core.events import Event
from core.store.session import Session
from core.tracking.telling import Telling
from core.tracking.tracker import Tracker


def export_session(session: Session, tracker: str, folder: Path) -> str | None:
    """Tell a tracker everything that a session recorded so far.

    Args:
        session: past or running.
        tracker: ``tensorboard`` or ``mlflow``.
        folder: TensorBoard's files get a folder there with the session's name; MLflow's store is
            there unless the environment names a server.

    Returns:
        Where it is now; None if it was there already: an export overwrites nothing.

    Raises:
        SessionError: the tracker or the disk refuses.
    """
    failures: tuple[type[Exception], ...] = (OSError,)
    if tracker == "mlflow":
        from mlflow.exceptions import MlflowException

        failures = (OSError, MlflowException)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened, place = _opened(session, tracker, folder)
        if opened is None:
            return None
        _tell(session, opened)
        return place
    except failures as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise SessionError(
            f"can't be exported to {tracker} ({reason[0][:300]})",
            where=session.path,
            why=f"Nothing of the session has changed; the export to {folder} may be incomplete.",
            remedy="Remove what is there of this session, then export it again.",
        ) from error


def _opened(session: Session, tracker: str, folder: Path) -> tuple[Tracker | None, str]:
    if tracker == "mlflow":
        from core.tracking.mlflow_run import MlflowRun, has_run, store_address

        if has_run(folder, session.name):
            return None, ""
        run = MlflowRun(folder, session.recipe, session.name, "", session.made_at)
        return run, f"{store_address(folder)}, run {run.run_id}"
    from core.tracking.tensorboard_files import TensorBoardFiles, has_event_files

    place = folder / session.name
    if has_event_files(place):
        return None, ""
    return TensorBoardFiles(place, session.recipe, session.name, is_known=False), str(place)


def _tell(session: Session, tracker: Tracker) -> None:
    telling = Telling(tracker, session.path / "cams")
    last: Event | None = None
    try:
        for event in session.events():
            telling.take(event)
            last = event
        if last is not None and not last.ends_run and not session.is_being_written():
            tracker.end(last.time, "stopped")  # it was killed, and nobody has said so
        tracker.flush()
    finally:
        tracker.close()
