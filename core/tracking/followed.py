"""One tracker of one session: what was recorded since the last time is told."""

from __future__ import annotations

import traceback

from core.recipe import Recipe
from core.store.event_log import EventReader
from core.store.session import Session
from core.tracking.kept_state import TrackerState, keep_state, kept_state
from core.tracking.telling import Telling
from core.tracking.tracker import Tracker

TENSORBOARD_FOLDER = "tensorboard"


class Followed:
    """Tells one tracker a session's events, from where an earlier process ended.

    Args:
        session: as its writer has it: it follows its folder when that is moved.
        name: the tracker's.
        recipe: of this run.
    """

    def __init__(self, session: Session, name: str, recipe: Recipe) -> None:
        self.name = name
        self.failure: str | None = None
        self.is_closed = False
        self._session, self._recipe = session, recipe
        self._telling: Telling | None = None
        self._offset = 0
        self._is_told = False

    def tell_news(self) -> None:
        """Tell what is new. A failure ends it: this run asks the tracker nothing more."""
        if self.is_closed:
            return
        try:
            self._tell()
        except Exception as error:  # noqa: BLE001 - a door: two libraries, a disk and a network
            self.failure = _in_words(self.name, error)
            self.close()

    def take_failure(self) -> str | None:
        """Why it failed, once."""
        if self.failure is None or self._is_told:
            return None
        self._is_told = True
        return self.failure

    def close(self) -> None:
        """Release what is open; a second failure says nothing new."""
        if self.is_closed:
            return
        self.is_closed = True
        try:
            if self._telling is not None:
                self._telling.tracker.close()
                if self.failure is None:
                    self._keep(self._telling, is_whole=True)
        except Exception as error:  # noqa: BLE001 - the same door
            self.failure = self.failure or _in_words(self.name, error)

    def _tell(self) -> None:
        telling = self._telling or self._opened()
        reader = EventReader(self._session.events_path, self._offset)
        for event in reader.each():
            telling.take(event)
        if reader.offset == self._offset:
            return
        telling.tracker.flush()
        self._offset = reader.offset
        self._keep(telling, is_whole=False)

    def _keep(self, telling: Telling, *, is_whole: bool) -> None:
        run_id = telling.tracker.run_id
        state = TrackerState(self._offset, telling.first, telling.last, run_id, is_whole)
        keep_state(self._session, self.name, state)

    def _opened(self) -> Telling:
        state = kept_state(self._session, self.name)
        tracker = _open(self.name, self._session, self._recipe, state)
        cams = self._session.path / "cams"
        self._telling = Telling(tracker, cams)
        if not tracker.is_new:
            self._offset = state.offset
            self._telling = Telling(tracker, cams, state.first, state.last)
        return self._telling


def _open(name: str, session: Session, recipe: Recipe, state: TrackerState) -> Tracker:
    if name == "mlflow":
        from core.tracking.mlflow_run import MlflowRun

        folder = session.path.parent
        return MlflowRun(folder, recipe, session.name, state.run_id, session.made_at)
    from core.tracking.tensorboard_files import TensorBoardFiles

    folder = session.path / TENSORBOARD_FOLDER
    # After a kill all is told again: points that it told last would be there twice.
    is_known = state.offset > 0 and state.is_whole
    return TensorBoardFiles(folder, recipe, session.name, is_known=is_known)


def _in_words(name: str, error: Exception) -> str:
    """One line for a person: which tracker, what happened and what to do."""
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return (
        f"{name} shows this run no longer ({lines[0][:300]}). The run goes on and its figures are "
        f"the same. Afterwards: cxr-tui sessions --export {name} DIR NAME."
    )
