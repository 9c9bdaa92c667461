"""What a session's events say of its earlier runs, in one reading of its milestones."""

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
    """What is known once all events have been told.

    Attributes:
        starts: how often a run began, the one under way included.
        acknowledged_step: a checkpoint covered it, and no run went on from an earlier one since.
        answers: of the health checks, those that stand.
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
    """How a session ended: its figures and its last word, as far as there are any."""

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
    """The ending of a session that is finished and has nothing left to do; else None.

    ``changed`` is the recipe to go on under, where that is not the session's own.
    """
    ending = Ending.of(session)
    if not (isinstance(ending.last, Finished) and is_finish(session, ending.last)):
        return None
    if changed is not None and asks_for_more(session.recipe, changed):
        return None
    return ending
