"""The result of a check."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Severity(enum.StrEnum):
    """How much a diagnosis matters.

    OK: checked, and nothing is wrong. NOTE: worth knowing. WARNING: the figures or the run are
    doubtful. STOP: to continue is a waste of time.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        check: the check's id, such as ``scores-hard``; a later result of a check replaces the
            earlier one.
        severity: how much it matters.
        text: one sentence that a student understands.
        evidence: the numbers behind it, by name.
        remedy: what to do about it.
        changes: the remedy as changes to the recipe, ``KEY=VALUE``.
    """

    check: str
    severity: Severity
    text: str
    evidence: Mapping[str, float | int | str | None] = field(default_factory=dict)
    remedy: str = ""
    changes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The diagnosis as it appears in a report."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "text": self.text,
            "evidence": dict(self.evidence),
            "remedy": self.remedy,
            "changes": list(self.changes),
        }
