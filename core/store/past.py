"""What a session's events say of its earlier runs, in one reading of its milestones."""

from __future__ import annotations

from dataclasses import dataclass

from core.events import CheckpointWritten, Diagnosed, Resumed, RunStarted
from core.store.answers import StandingAnswers
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
