"""The history of a session's earlier runs, from one pass over its events."""

from __future__ import annotations

from dataclasses import dataclass

from core.events import (
    CheckpointWritten,
    Diagnosed,
    Evaluated,
    Event,
    Finished,
    Resumed,
    RunStarted,
)
from core.going_on import asks_for_more
from core.recipe import Recipe
from core.store.answers import StandingAnswers
from core.store.finish import is_finish
from core.store.session import Session


@dataclass(frozen=True)
class Past:
    """The history of a session's runs.

    Attributes:
        starts: number of runs started, including the current one.
        acknowledged_step: last step covered by a checkpoint, unless a run has since resumed from an
            earlier one.
        answers: the current diagnoses of the health checks.
    """

    starts: int
    acknowledged_step: int
    answers: StandingAnswers

    @classmethod
    def of(cls, session: Session) -> Past:
        """Read it."""
        starts, acknowledged, answers = 0, 0, StandingAnswers()
        for event in session.milestones():
            if isinstance(event, RunStarted):
                starts += 1
            elif isinstance(event, CheckpointWritten):
                acknowledged = event.step
            elif isinstance(event, Resumed):
                acknowledged = event.step
                answers.drop_after(event.step)
            elif isinstance(event, Diagnosed):
                answers.take(event)
        return cls(starts, acknowledged, answers)


@dataclass(frozen=True)
class Ending:
    """How a session ended: its figures and its terminal event, if any."""

    figures: Evaluated | None
    last: Event | None

    @classmethod
    def of(cls, session: Session) -> Ending:
        """Read it."""
        figures, last = None, None
        for event in session.milestones():
            last = event
            figures = event if isinstance(event, Evaluated) else figures
        return cls(figures, last)


def is_done(session: Session, changed: Recipe | None = None) -> Ending | None:
    """The ending of a session that is finished and has nothing left to do; otherwise None.

    ``changed``: the recipe to continue with, if it is not the session's own.
    """
    ending = Ending.of(session)
    if not (isinstance(ending.last, Finished) and is_finish(session, ending.last)):
        return None
    if changed is not None and asks_for_more(session.recipe, changed):
        return None
    return ending
