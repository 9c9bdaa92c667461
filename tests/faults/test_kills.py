"""A run that is killed by SIGKILL loses nothing that it acknowledged, and ends as if left alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kill_loop import kill_loop


@pytest.mark.slow
def test_kills_lose_no_acknowledged_step_and_give_the_same_weights(phantom_dir, tmp_path):
    outcome = kill_loop(phantom_dir, tmp_path, kills=3, seed=1)
    assert outcome.faults == []
    assert 2 <= outcome.kills <= 3  # fewer where a fast machine was at its end before
    assert outcome.same_weights
