"""A test part that stays closed at the end of a run, until somebody opens it on purpose."""

from __future__ import annotations

from core.errors import CxrError, DataError
from core.recipe import EvaluateSettings
from core.store.files import is_file
from core.store.session import Session

HOW_TO_OPEN = "cxr-tui evaluate {name} --open"


def is_sealed(session: Session, settings: EvaluateSettings | None = None) -> bool:
    """Whether the test part is closed: ``evaluate.sealed`` is set, and no run has scored it yet.

    ``settings``: those of a run that is about to end; None for the session's own, and False where
    these can't be read.
    """
    if is_file(session.predictions / "test.csv"):
        return False
    try:
        return (settings or session.recipe.evaluate).sealed
    except (CxrError, OSError):
        return False


def refuse_sealed(session: Session, part: str = "test") -> None:
    """Refuse figures of a sealed test part.

    Raises:
        DataError: it is sealed.
    """
    if part == "test" and is_sealed(session):
        raise DataError(
            "the test part is sealed: it has not been scored",
            where=f"session {session.name}",
            why="evaluate.sealed = true keeps it closed until you are done choosing.",
            remedy=f"Open it for good: {HOW_TO_OPEN.format(name=session.name)}.",
        )
