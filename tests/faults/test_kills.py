"""A run that is killed by SIGKILL loses nothing that it acknowledged, and ends as if left alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kill_loop import kill_loop


@pytest.mark.slow
def test_ten_kills_lose_no_acknowledged_step_and_give_the_same_weights(phantom_dir, tmp_path):
    outcome = kill_loop(phantom_dir, tmp_path, kills=10, seed=1)
    assert outcome.faults == []
    assert outcome.kills == 10
    assert outcome.same_weights
