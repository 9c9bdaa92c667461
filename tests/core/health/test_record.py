"""What health checks found is told once, told again when it changes, and taken back."""

from core.health.diagnosis import Diagnosis, Severity
from core.health.watch import HealthRecord


def told(*rounds, looked_at=("rate",)):
    events = []
    health = HealthRecord(events.append)
    for step, severities in enumerate(rounds):
        found = [
            Diagnosis(check="rate", severity=severity, text=f"it is {severity}")
            for severity in severities
        ]
        health.take(found, step=step, looked_at=looked_at)
    return [(event.step, event.severity, event.text) for event in events]


def test_the_same_answer_is_told_once():
    assert told([Severity.WARNING], [Severity.WARNING]) == [(0, "warning", "it is warning")]


def test_a_graver_answer_is_told_again():
    assert [severity for _, severity, _ in told([Severity.WARNING], [Severity.STOP])] == [
        "warning",
        "stop",
    ]


def test_what_is_no_longer_so_is_taken_back_once():
    answers = told([Severity.WARNING], [], [])
    assert answers[1:] == [(1, "ok", "no longer: it is warning")]


def test_silence_of_a_check_that_was_not_made_means_nothing():
    assert len(told([Severity.WARNING], [], looked_at=())) == 1


def test_what_comes_back_is_told_again():
    assert len(told([Severity.WARNING], [], [Severity.WARNING])) == 3
