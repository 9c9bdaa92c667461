"""Diagnoses as events: each is emitted once, and again only when it changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from core.events import SEVERITIES, Diagnosed, Event
from core.health.diagnosis import Diagnosis, Severity
from core.store.answers import StandingAnswers


class HealthRecord:
    """The diagnoses of a run so far; a repeated one is not emitted again."""

    def __init__(
        self, record: Callable[[Event], None], standing: StandingAnswers | None = None
    ) -> None:
        """``standing``: the earlier diagnoses of a resumed session."""
        self._record = record
        told = {} if standing is None else standing.in_order()
        self._told = {
            check: _diagnosis_of(event)
            for check, event in told.items()
            if event.severity in SEVERITIES  # an unknown severity is from a newer version
        }

    def take(
        self, found: Iterable[Diagnosis], *, step: int, looked_at: Collection[str] = ()
    ) -> None:
        """Emit what is new, or has another severity than before.

        ``looked_at`` names checks that ran: an earlier diagnosis of one that found nothing is
        withdrawn.
        """
        silent = set(looked_at)
        for diagnosis in found:
            silent.discard(diagnosis.check)
            before = self._told.get(diagnosis.check)
            if before is None or before.severity is not diagnosis.severity:
                self._tell(diagnosis, step)
        for check in sorted(silent):
            before = self._told.get(check)
            if before is not None and before.severity is not Severity.OK:
                text = f"no longer: {before.text}"
                self._tell(Diagnosis(check=check, severity=Severity.OK, text=text), step)

    def take_again(self, found: Iterable[Diagnosis], *, step: int) -> None:
        """Emit the result even if it was emitted before, since somebody asked for it."""
        for diagnosis in found:
            self._tell(diagnosis, step)

    def _tell(self, diagnosis: Diagnosis, step: int) -> None:
        self._told[diagnosis.check] = diagnosis
        self._record(event_of(diagnosis, step=step))


def event_of(diagnosis: Diagnosis, *, step: int) -> Diagnosed:
    """The diagnosis as an event."""
    return Diagnosed(
        check=diagnosis.check,
        severity=str(diagnosis.severity),
        text=diagnosis.text,
        evidence=diagnosis.evidence,
        remedy=diagnosis.remedy,
        changes=diagnosis.changes,
        step=step,
    )


def _diagnosis_of(event: Diagnosed) -> Diagnosis:
    return Diagnosis(
        check=event.check,
        severity=Severity(event.severity),
        text=event.text,
        evidence=event.evidence,
        remedy=event.remedy,
        changes=event.changes,
    )
