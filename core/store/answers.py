"""The current diagnoses of a session, from its events."""

from __future__ import annotations

from collections.abc import Iterable

from core.events import SEVERITIES, Diagnosed, Event, Resumed

_REMEMBERED = 16
"""Diagnoses kept for each check, in case a run resumes from an earlier step."""


class StandingAnswers:
    """The latest diagnosis of each check; those after the step that a run resumed from are
    dropped."""

    def __init__(self) -> None:
        self._told: dict[str, list[Diagnosed]] = {}

    @classmethod
    def after(cls, events: Iterable[Event]) -> StandingAnswers:
        """The diagnoses after these events."""
        standing = cls()
        for event in events:
            if isinstance(event, Diagnosed):
                standing.take(event)
            elif isinstance(event, Resumed):
                standing.drop_after(event.step)
        return standing

    def take(self, answer: Diagnosed) -> None:
        """Replace the same check's earlier diagnosis; this one is now the newest."""
        told = self._told.pop(answer.check, [])
        self._told[answer.check] = [*told, answer][-_REMEMBERED:]

    def drop_after(self, step: int) -> None:
        """Drop diagnoses of later steps, which were not acknowledged."""
        kept = {
            check: [answer for answer in told if answer.step <= step]
            for check, told in self._told.items()
        }
        self._told = {check: told for check, told in kept.items() if told}

    def in_order(self) -> dict[str, Diagnosed]:
        """Diagnoses by check, the most severe first; within a severity the newest first."""
        latest = [told[-1] for told in reversed(self._told.values())]
        return {answer.check: answer for answer in gravest_first(latest)}


def gravest_first(answers: Iterable[Diagnosed]) -> list[Diagnosed]:
    """Sort by severity (stop, warning, note, ok), then by step, the latest first."""
    return sorted(answers, key=lambda answer: (-gravity(answer.severity), -answer.step))


def gravity(severity: str) -> int:
    """Severity as a number, 0 for ok; a severity that this version does not know counts as a
    note."""
    known = severity if severity in SEVERITIES else "note"
    return SEVERITIES.index(known)
