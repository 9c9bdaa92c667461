"""A checkpoint whose digests agree and that still is none of this run's is refused."""

from __future__ import annotations

import pytest

from core.training.resuming.same_run import progress_of


@pytest.mark.parametrize(
    "progress",
    [None, 7, [], "x", {"step": "9"}, {"step": -1}, {"epoch": True}, {"best_epoch": "1"}, {"x": 1}],
)
def test_a_state_that_does_not_tell_how_far_the_run_was_is_none(progress: object) -> None:
    assert progress_of({"progress": progress}) is None
    assert progress_of({}) is None


def test_a_state_that_tells_it_is_taken() -> None:
    progress = {"epoch": 2, "step": 9, "best_epoch": None}
    assert progress_of({"progress": progress}) == progress
