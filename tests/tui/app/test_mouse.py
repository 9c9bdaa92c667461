"""The mouse, as a terminal reports it through tmux, in a real console at 80×24."""

import re
import shutil
import subprocess

import pytest
from small_runs import program
from terminal import Terminal

from core.recipe_toml import load_recipe
from core.store.sessions import create_session

LEFT, WHEEL_DOWN, WHEEL_UP = 0, 65, 64


class TmuxTerminal(Terminal):
    """A terminal in which tmux, with its mouse on, shows the program."""

    def __init__(self, argv, *, folder):
        self._server = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        set_up = ["set", "-g", "mouse", "on", ";", "set", "-g", "status", "off", ";"]
        shown = [*self._server, *set_up, "new-session", *argv]
        super().__init__(shown, folder=folder, environment={"TMUX": "", "LC_ALL": "C.UTF-8"})

    def mouse(self, button, column, row):
        """A press, and for a button its release, at a cell counted from 0."""
        at = f"{column + 1};{row + 1}"
        self.send(f"\x1b[<{button};{at}M" + (f"\x1b[<{button};{at}m" if button == LEFT else ""))

    def shows(self, words, seconds=20):
        super().shows(words, seconds)

    def click(self, words):
        """Click on the first of these words, once they stand on the screen."""
        self.shows(words)
        lines = self.text.split("\n")
        row = next(row for row, line in enumerate(lines) if words in line)
        self.mouse(LEFT, lines[row].index(words), row)

    def close(self):
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)
        super().close()


@pytest.fixture
def terminal(tmp_path, cache_dir):
    """A console on forty sessions, more than it has lines."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    for number in range(40):
        create_session(tmp_path / "sessions", load_recipe("demo"), f"run-{number:02}")
    with TmuxTerminal(program(cache_dir), folder=tmp_path) as terminal:
        terminal.shows("40 sessions,")
        yield terminal


def test_names_of_screens_and_keys_in_the_footer_answer_to_a_click(terminal):
    terminal.click("3 Recipe")
    terminal.shows("preset demo · unchanged")
    terminal.click("p preset")
    terminal.shows("enter select")
    terminal.click("esc back")
    terminal.until(lambda text: "enter select" not in text, 20, "the end of the presets")
    terminal.click("1 Sessions")
    terminal.shows("40 sessions,")
    terminal.click(" ?")
    terminal.shows("Keys of sessions")


def test_rows_and_the_answers_of_a_question_answer_to_a_click_and_the_wheel_scrolls(
    terminal, tmp_path
):
    first = re.search(r"run-\d\d", terminal.text)[0]
    for _ in range(12):
        terminal.mouse(WHEEL_DOWN, 20, 10)
    terminal.until(lambda text: first not in text and "run-05" in text, 20, "the rows below")
    for _ in range(12):
        terminal.mouse(WHEEL_UP, 20, 10)
    terminal.shows(first)
    terminal.click("run-33")  # the cursor goes there
    terminal.click("d delete")
    terminal.shows("Delete run-33?")
    terminal.click("esc   back")
    terminal.until(lambda text: "Delete run" not in text, 20, "the end of the question")
    terminal.click("d delete")
    terminal.shows("Delete run-33?")
    terminal.click("delete it permanently")
    terminal.shows("39 sessions,")
    assert not (tmp_path / "sessions/run-33").exists()
    terminal.click("run-35")
    terminal.click("run-35")  # where the cursor is, a click opens
    terminal.shows("run-35 · · new")
