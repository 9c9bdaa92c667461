"""A test part that is still closed: nothing is wrong, but nothing is known of it either."""

from __future__ import annotations

from core.health.diagnosis import Diagnosis, Severity
from core.store.sealed import HOW_TO_OPEN


def test_is_sealed(name: str) -> Diagnosis:
    """The note that takes the place of test figures."""
    return Diagnosis(
        check="test-sealed",
        severity=Severity.NOTE,
        text="The test part is sealed: it was not scored, so nothing can be chosen by it.",
        remedy=f"When all choices are made, open it once: {HOW_TO_OPEN.format(name=name)}.",
    )
