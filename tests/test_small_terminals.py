"""Terminals that are small, lack colours, or lack characters."""

import re
import sys

import pytest
from console import plain, press, shows, until
from terminal import Terminal

from core.events import RunStarted
from core.recipe_toml import load_recipe
from core.store.session import create_session
from cxr_tui.app import ConsoleApp
from cxr_tui.desk import Desk
from cxr_tui.plain import closest_ascii


@pytest.fixture
def desk(tmp_path, cache_dir):
    return Desk(tmp_path / "sessions", cache_dir, device="cpu")


def a_session(folder, name):
    session = create_session(folder, load_recipe("demo"), name)
    with session.writing() as writer:
        writer.append(RunStarted(name=name, host="h", pid=1))


@pytest.mark.parametrize("mode", ["sessions", "data", "recipe", "training", "results"])
async def test_a_terminal_too_small_says_what_it_needs_and_recovers(desk, mode):
    a_session(desk.sessions, "one")
    app = ConsoleApp(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "one")
        app.action_mode(mode)
        await until(pilot, lambda: app.current_mode == mode, mode)
        await pilot.resize_terminal(40, 10)
        await shows(pilot, "60×16 is needed")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "is needed" not in plain(app), "the screen")
        assert "1 Sessions" in plain(app)


async def test_a_console_begun_too_small_is_whole_once_the_terminal_has_grown(desk):
    app = ConsoleApp(desk)
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


def test_what_an_encoding_lacks_is_told_by_its_nearest_sign():
    assert closest_ascii("café – 40×10 ✓ ▁ 你") == "cafe - 40x10 + ? ?"
