"""The console in a real pseudo-terminal: a new user from the first screen to the exit."""

import json

import pytest
from small_runs import console, events_of, go_on, kinds_of, made_session, until

from core.requests import Request
from core.store.session import Session


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
        terminal.shows("leave it running, without a screen")
        terminal.send("s")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()
        assert "--resume" in terminal.text
    events = (tmp_path / "sessions/mine/events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["event"] == "Stopped"


def test_a_run_that_is_left_running_goes_on_without_a_screen_from_the_step_it_was_at(
    tmp_path, cache_dir, recipe
):
    session = Session(tmp_path / "sessions" / recipe)
    with console(tmp_path, cache_dir, "--attach", recipe) as terminal:
        go_on(terminal)
        terminal.shows_one_of(r"epoch ([2-9]|\d\d+) of 200", 180)
        terminal.send("q")
        terminal.shows("leave it running, without a screen")
        terminal.send("d")
        assert terminal.exit_code(120) == 0
        assert terminal.is_restored()
        told = "".join(terminal.text.split())
        assert "handingitoverafterthisstep" in told
        assert f"returnwith:cxr-tui--attach{session.path}" in told
    try:
        until(lambda: kinds_of(session).count("EpochDone") > 4, "more epochs")
    finally:
        session.ask(Request.STOP)
        until(lambda: not session.is_being_written(), "the end")
    events = events_of(session)
    stopped = next(event for event in events if event["event"] == "Stopped")
    resumed = next(event for event in events if event["event"] == "Resumed")
    assert resumed["step"] == stopped["step"] > 0
    assert events[-1]["event"] == "Stopped"
    assert events[-1]["step"] > stopped["step"]


def test_a_terminal_that_goes_without_a_word_is_let_go_of(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, is_told_of_hang_up=False) as terminal:
        terminal.shows("No sessions yet.")
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 0


def test_changes_on_the_command_line_are_in_the_consoles_first_recipe(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, "--set", "train.epochs=77") as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("3")
        terminal.shows("1 change")
        terminal.shows_one_of(r"• epochs +77", 60)
        terminal.send("qq")
        assert terminal.exit_code() == 0


def test_the_order_of_the_sessions_is_as_it_was_left(tmp_path, cache_dir, recipe):
    for _ in range(2):
        with console(tmp_path, cache_dir) as terminal:
            terminal.shows("1 session,")
            if "by name" not in terminal.text:
                terminal.send("OV")
            terminal.shows("by name, turned round")
            terminal.send("q")
            assert terminal.exit_code() == 0
    file = tmp_path / "state/cxr-tui/console.json"
    assert json.loads(file.read_text())["order"] == "-name"


def test_theme_screen_and_session_are_as_they_were_left(tmp_path, cache_dir, recipe):
    with console(tmp_path, cache_dir, "--attach", recipe) as terminal:
        terminal.shows("mine · · new")
        terminal.send(":")
        terminal.shows("Search for commands")
        terminal.send("theme paper")
        terminal.shows("Theme paper")
        terminal.send("\r")
        terminal.until(lambda text: "Theme paper" not in text, 30, "the palette's end")
        terminal.send("q")
        assert terminal.exit_code() == 0
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("mine · · new")
        background = "48;2;244;236;221"
        terminal.until(lambda _: background in terminal.written.decode(), 30, "its background")
        terminal.send("q")
        assert terminal.exit_code() == 0


@pytest.mark.parametrize(
    "left", ["", "[1]", '{"theme": 3, "screen": "nowhere", "order": "-x"}', "\0" * 99]
)
def test_what_is_remembered_may_be_damaged(tmp_path, cache_dir, left):
    file = tmp_path / "state/cxr-tui/console.json"
    file.parent.mkdir(parents=True)
    file.write_text(left)
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("q")
        assert terminal.exit_code() == 0
    assert json.loads(file.read_text())["screen"] == "sessions"


def test_a_recipe_in_the_folder_at_hand_is_not_taken_for_the_session_that_was_left(
    tmp_path, cache_dir
):
    (tmp_path / "recipe.toml").write_text('name = "mine"\n')
    for _ in range(2):
        with console(tmp_path, cache_dir) as terminal:
            terminal.shows("No sessions yet.")
            terminal.send("4")
            terminal.shows("No session is shown")
            assert "recipe.toml" not in terminal.text
            assert "no session is named" not in terminal.text
            terminal.send("q")
            assert terminal.exit_code() == 0
