"""A share of tests/bench/because_coverage.py, whose table is in docs/intervals.md."""

import because_coverage
import pytest

SAMPLES = 30


def test_where_nothing_differs_the_intervals_of_all_parts_hold_0():
    found = because_coverage.coverage("nothing", 150, samples=2 * SAMPLES)
    for part in because_coverage.PARTS:
        assert len(found.held[part]) == 2 * SAMPLES
        assert found.share(*part) > 0.86, part  # 0.95 less 3 standard errors


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("case mix", ("because", "case_mix")),
        ("prevalence", ("because_log_loss", "prevalence")),
        ("calibration", ("because_log_loss", "calibration")),
        ("noise", ("because", "rest")),
    ],
)
def test_each_cause_alone_is_told_and_its_share_lies_within_the_interval(cause, told):
    found = because_coverage.coverage(cause, 600, samples=SAMPLES, true=12_000)
    assert found.share_told(*told) > 0.5
    for part in because_coverage.PARTS:
        assert found.share(*part) > 0.82, part
