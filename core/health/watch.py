"""Answers of checks as events: each once, and again only when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.events import Diagnosed, Event
from core.health.diagnosis import Diagnosis, Severity


class HealthRecord:
    """What was found so far in a run; the same answer twice is told once."""

    def __init__(self, record: Callable[[Event], None]) -> None:
        self._record = record
        self._told: dict[str, Severity] = {}

    def take(self, found: Iterable[Diagnosis], *, step: int) -> None:
        """Tell what is new, or graver or milder than before."""
        for diagnosis in found:
            if self._told.get(diagnosis.check) is diagnosis.severity:
                continue
            self._told[diagnosis.check] = diagnosis.severity
            self._record(event_of(diagnosis, step=step))


def event_of(diagnosis: Diagnosis, *, step: int) -> Diagnosed:
    """As a run tells of it."""
    return Diagnosed(
        check=diagnosis.check,
        severity=str(diagnosis.severity),
        text=diagnosis.text,
        evidence=diagnosis.evidence,
        remedy=diagnosis.remedy,
        changes=diagnosis.changes,
        step=step,
    )
