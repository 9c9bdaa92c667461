"""The console in a real pseudo-terminal: a new user from the first screen to the exit."""

import json

import pytest
from small_runs import console, go_on, made_session


@pytest.fixture
def recipe(tmp_path, phantom_dir):
    """A session that was made and not begun, small but long."""
    return made_session(tmp_path, phantom_dir, epochs=200).name


def test_without_a_session_q_leaves_the_terminal_as_it_was(tmp_path, cache_dir):
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()


def test_a_run_under_the_console_stops_with_a_checkpoint_when_left(tmp_path, cache_dir, recipe):
    with console(tmp_path, cache_dir, "--attach", recipe) as terminal:
        go_on(terminal)
        terminal.shows_one_of(r"epoch ([2-9]|\d\d+) of 200", 180)
        terminal.send("q")
        terminal.shows("Quitting stops it.")
        terminal.send("s")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()
        assert "--resume" in terminal.text
    events = (tmp_path / "sessions/mine/events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["event"] == "Stopped"


def test_a_terminal_that_goes_without_a_word_is_let_go_of(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, is_told_of_hang_up=False) as terminal:
        terminal.shows("No sessions yet.")
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 0
