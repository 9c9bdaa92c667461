"""A share of the fuzzing in every test run; all of it by hand: python tests/faults/fuzz.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import DataError

sys.path.insert(0, str(Path(__file__).parent))

from fuzz import WEIGHTS
from fuzz_watch import LONGEST_SECONDS, snapshot

PROGRAM = Path(__file__).with_name("fuzz.py")


@pytest.mark.slow
def test_mutated_files_are_read_or_refused_in_time_in_memory_and_in_their_place(tmp_path):
    # A process of its own: the limit on memory and the ear on what it does can't be taken back.
    done = subprocess.run(
        [sys.executable, PROGRAM, "--examples", "1000", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    tallies = json.loads(done.stdout)
    assert [find for tally in tallies.values() for find in tally["finds"]] == []
    assert done.returncode == 0
    assert sum(tally["examples"] for tally in tallies.values()) > 900
    for kind in WEIGHTS:
        assert tallies[kind]["examples"] > 15, kind
        assert tallies[kind]["longest_seconds"] < LONGEST_SECONDS, kind


WATCHED = """
import os, pickle, subprocess, sys, time
from pathlib import Path
from fuzz_watch import HangError, Watch
watch = Watch(Path(sys.argv[1]))
inside, outside = Path(sys.argv[1]) / "x", Path(sys.argv[2]) / "x"
seen = []
for act in (
    lambda: inside.write_text("x"),
    lambda: outside.write_text("x"),
    lambda: outside.unlink(),
    lambda: outside.mkdir(),
    lambda: inside.rename(outside / "y"),
    lambda: subprocess.run(["true"]),
    lambda: pickle.loads(b"cos\\nsystem\\n(S'true'\\ntR."),
    lambda: exec("1"),
):
    with watch.on():
        act()
    seen.append(bool(watch.breaches))
assert seen == [False] + [True] * 7, seen
try:
    with watch.on():
        while True:
            pass
except HangError:
    sys.exit(0)
sys.exit("nobody minded")
"""


@pytest.mark.slow
def test_the_watch_sees_what_it_is_there_for(tmp_path):
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, tmp_path / "inside", tmp_path / "outside"],
        cwd=PROGRAM.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "outside")


def test_an_error_about_a_name_of_a_million_letters_is_short():
    error = DataError("x" * 10**6, where="y" * 10**6, why="z" * 10**6, remedy="end")
    assert len(str(error)) < 20_000
    assert str(error).endswith("end.")
