"""The console in a real pseudo-terminal: a new user from the first screen to the exit."""

import json
import sys

import pytest
from terminal import Terminal

from core.recipe_toml import load_recipe
from core.store.session import create_session


@pytest.fixture
def recipe(tmp_path, phantom_dir):
    """A session that was made and not begun, small but long."""
    return made_session(tmp_path, phantom_dir, epochs=200)


def made_session(tmp_path, phantom_dir, *, epochs):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": epochs,
        "evaluate.bootstrap": 20,
        "train.batch_size": 8,
        "train.precision": "fp32",
    }
    made = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    create_session(tmp_path / "sessions", made, "mine")
    return "mine"


def console(tmp_path, cache_dir, *arguments, **settings):
    command = [sys.executable, "-m", "cxr_tui", "--cache", str(cache_dir), "--device", "cpu"]
    return Terminal([*command, *arguments], folder=tmp_path, **settings)


def test_without_a_session_q_leaves_the_terminal_as_it_was(tmp_path, cache_dir):
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("q")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()


def test_a_run_under_the_console_stops_with_a_checkpoint_when_left(tmp_path, cache_dir, recipe):
    with console(tmp_path, cache_dir, "--attach", recipe) as terminal:
        terminal.shows("mine · · new")
        terminal.send("1")
        terminal.shows("val AUROC")
        terminal.send("r")
        terminal.shows("epoch 2 of 200", 180)
        terminal.send("q")
        terminal.shows("Quitting stops it.")
        terminal.send("s")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()
        assert "--resume" in terminal.text
    events = (tmp_path / "sessions/mine/events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["event"] == "Stopped"


def test_when_the_line_drops_the_run_goes_on_to_its_end(tmp_path, cache_dir, phantom_dir):
    name = made_session(tmp_path, phantom_dir, epochs=3)
    with console(tmp_path, cache_dir, "--attach", name) as terminal:
        terminal.shows("mine · · new")
        terminal.send("1")
        terminal.shows("val AUROC")
        terminal.send("r")
        terminal.shows("epoch 1 of 3", 180)
        terminal.hang_up()
        assert terminal.process.wait(timeout=180) == 0
    events = (tmp_path / "sessions/mine/events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["event"] == "Finished"


def test_a_terminal_that_goes_without_a_word_is_let_go_of(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, is_told_of_hang_up=False) as terminal:
        terminal.shows("No sessions yet.")
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 0
