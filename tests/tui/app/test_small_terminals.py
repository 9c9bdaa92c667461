"""Terminals that are small, lack colours, or lack characters."""

import re
import sys

import pytest
import told_sessions
from console import plain, press, shows, until
from terminal import Terminal
from told_sessions import opened, scored_session

from core.events import RunStarted
from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.terminal.safe_text import closest_ascii


def a_session(folder, name):
    session = create_session(folder, load_recipe("demo"), name)
    with session.writing() as writer:
        writer.append(RunStarted(name=name, host="h", pid=1))


@pytest.mark.parametrize("mode", ["sessions", "data", "recipe", "training", "results"])
async def test_a_terminal_too_small_says_what_it_needs_and_recovers(workspace, mode):
    a_session(workspace.sessions, "one")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "one")
        app.action_mode(mode)
        await until(pilot, lambda: app.current_mode == mode, mode)
        await pilot.resize_terminal(40, 10)
        await shows(pilot, "60×16 is needed")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "is needed" not in plain(app), "the screen")
        assert "1 Sessions" in plain(app)


async def test_a_console_begun_too_small_is_whole_once_the_terminal_has_grown(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(40, 10)) as pilot:
        await shows(pilot, "40×10 is too small")
        await pilot.resize_terminal(59, 30)
        await shows(pilot, "59×30 is too small")
        await pilot.resize_terminal(60, 16)
        await shows(pilot, "No sessions yet.")
        await press(pilot, "q")
        await until(pilot, lambda: app._exit, "the exit")


def console(tmp_path, **environment):
    command = [sys.executable, "-m", "cxr_tui"]
    return Terminal(command, folder=tmp_path, environment=environment)


def test_without_colours_nothing_but_greys_is_written(tmp_path):
    with console(tmp_path, NO_COLOR="1") as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("q")
        assert terminal.exit_code() == 0
        colours = re.findall(rb"\x1b\[[\d;]*?[34]8;2;(\d+);(\d+);(\d+)", terminal.written)
        assert colours
        assert all(red == green == blue for red, green, blue in colours)


def test_an_encoding_without_blocks_gets_signs_that_it_has(tmp_path):
    a_session(tmp_path / "sessions", "one")
    with console(tmp_path, PYTHONIOENCODING="latin-1") as terminal:
        terminal.shows("o interrupted")
        terminal.shows("q  ?")
        assert terminal.text.count("?") == 1
        terminal.send("q")
        assert terminal.exit_code() == 0


def assert_is_ascii(app):
    """No cell holds another sign, none lacks a likeness, and what has a mark is still marked."""
    drawn = plain(app)
    assert drawn.isascii(), sorted({sign for sign in drawn if not sign.isascii()})
    unknown = [line for line in drawn.splitlines() if re.search(r"\?\?|\w\?\w", line)]
    assert not unknown


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_ascii_draws_ascii_alone_on_every_screen_and_dialog(workspace, phantom_dir, size):
    scored_session(workspace, phantom_dir)
    curves = told_sessions.a_session(workspace, *told_sessions.trained(3)).path.name
    data = ["dataset.phantom=none", f"dataset.images={phantom_dir}"]
    workspace.draft = load_recipe("demo", data)
    app = ConsoleApp(workspace, ascii_only=True)
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(pilot)
        for mode, words, keys in (
            ("sessions", "finished", ("slash", "a", "d", "r", "w", "i", "colon", "question_mark")),
            ("data", "Pneumothorax", ("f", "o", "c", "v", "enter")),
            ("recipe", "GiB free", ("slash", "o", "p", "enter")),
            ("training", "base rate", ("z", "v", "full_stop", "h")),
            ("results", "sensitivity", ("v", "c", "t", "z", "enter")),
            ("cams", "", ("question_mark", "q")),
        ):
            if mode in ("training", "results"):
                app.open_session(curves if mode == "training" else "scored", mode)
            app.action_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode, mode)
            await shows(pilot, words)
            app.say("said – over the screen …")
            await shows(pilot, "said - over")
            assert_is_ascii(app)
            for key in keys:
                await press(pilot, key)
                assert_is_ascii(app)
                if key == "question_mark":
                    await shows(pilot, "Keys of")
                    assert "backspace" in plain(app) or size == (80, 24)  # further down there
                await press(pilot, "escape")
                while len(app.screen_stack) > 1:
                    await press(pilot, "escape")
                app.action_mode(mode)


TOLD = """
from core.events import EpochDone
from core.findings import FINDINGS
from cxr_tui.batch.narration import Narrator

narrator = Narrator()
narrator.warn("labels.csv: " + "a sentence that goes on and on " * 4)
narrator(EpochDone(
    epoch=1, step=9, train_loss=0.5, val_loss=0.5, auroc=dict.fromkeys(FINDINGS, 0.625),
    mean_auroc=0.625, selected_on=(), is_best=True, learning_rate=0.1, seconds=9.0,
))
"""


def test_what_is_told_breaks_between_words_and_goes_on_under_its_text(tmp_path):
    with Terminal([sys.executable, "-c", TOLD], folder=tmp_path) as terminal:
        assert terminal.exit_code() == 0
        lines = [line for line in terminal.text.splitlines() if line]
    assert [line[:10].strip() for line in lines if line[0] != " "] == ["warning", "1/0"]
    values = [line.split() for line in lines if "0.625" in line and "loss" not in line]
    assert len(values) > 1
    assert all(words[1::2] == ["0.625"] * (len(words) // 2) for words in values)  # name by name


def test_what_an_encoding_lacks_is_told_by_its_nearest_sign():
    assert closest_ascii("café – 40×10 ✓ ▁ 你") == "cafe - 40x10 + ? ?"
