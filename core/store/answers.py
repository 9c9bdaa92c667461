"""The answers of health checks that stand, as a session's events tell them."""

from __future__ import annotations

from collections.abc import Iterable

from core.events import SEVERITIES, Diagnosed, Event, Resumed

_REMEMBERED = 16
"""Answers kept of each check, for a run that goes back to an earlier step."""


class StandingAnswers:
    """Of each check the latest answer; one that a resumed run never gave makes way again."""

    def __init__(self) -> None:
        self._told: dict[str, list[Diagnosed]] = {}

    @classmethod
    def after(cls, events: Iterable[Event]) -> StandingAnswers:
        """What stands once these events have been told."""
        standing = cls()
        for event in events:
            if isinstance(event, Diagnosed):
                standing.take(event)
            elif isinstance(event, Resumed):
                standing.drop_after(event.step)
        return standing

    def take(self, answer: Diagnosed) -> None:
        """In place of the same check's earlier answer, and as the newest of all."""
        told = self._told.pop(answer.check, [])
        self._told[answer.check] = [*told, answer][-_REMEMBERED:]

    def drop_after(self, step: int) -> None:
        """Forget what was found at later steps: they were not acknowledged."""
        kept = {
            check: [answer for answer in told if answer.step <= step]
            for check, told in self._told.items()
        }
        self._told = {check: told for check, told in kept.items() if told}

    def in_order(self) -> dict[str, Diagnosed]:
        """By check, gravest first; of the same gravity the newest first."""
        latest = [told[-1] for told in reversed(self._told.values())]
        return {answer.check: answer for answer in gravest_first(latest)}


def gravest_first(answers: Iterable[Diagnosed]) -> list[Diagnosed]:
    """Stop, warning, note, ok; equals by step, the later first, else as they come."""
    return sorted(answers, key=lambda answer: (-gravity(answer.severity), -answer.step))


def gravity(severity: str) -> int:
    """From 0 (ok) up; a word that this version does not know is worth a note."""
    known = severity if severity in SEVERITIES else "note"
    return SEVERITIES.index(known)
