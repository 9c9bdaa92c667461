"""What a check found."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Severity(enum.StrEnum):
    """How much it matters.

    OK was looked at and is well; NOTE is worth knowing; WARNING makes the figures or the run
    doubtful; STOP means that going on is a waste of time.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One check's answer.

    Attributes:
        check: the check's id, such as ``scores-hard``; a later answer replaces an earlier one.
        severity: how much it matters.
        text: one sentence that a student understands.
        evidence: the numbers behind it, by what they are.
        remedy: what to do about it.
        changes: the same as changes to the recipe, ``KEY=VALUE``.
    """

    check: str
    severity: Severity
    text: str
    evidence: Mapping[str, float | int | str | None] = field(default_factory=dict)
    remedy: str = ""
    changes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For a report."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "text": self.text,
            "evidence": dict(self.evidence),
            "remedy": self.remedy,
            "changes": list(self.changes),
        }
