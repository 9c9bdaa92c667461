"""A new user in a real terminal: the synthetic set, one epoch, the results, a map, and out."""

import re
import shutil
import sys

import pytest
from terminal import Terminal
from tmux import Tmux

ENTER, ESCAPE = "\r", "\x1b"


def in_tmux(argv, folder):
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    return Tmux(argv, folder=folder)


def in_a_terminal(argv, folder):
    return Terminal(argv, folder=folder)


def set_field(screen, words, label, value):
    """Find a field of the recipe by the filter, and change it."""
    screen.send("/")
    screen.shows("part of a field's name or help")
    screen.send(words + ENTER)
    screen.until(lambda text: re.search(rf"▸ +{label} ", text), 20, f"the field {label}")
    screen.shows("enter edit")
    screen.send(ENTER)
    screen.shows("take the value")
    screen.send(value + ENTER)
    screen.until(lambda text: re.search(rf"• {label} +{value} ", text), 20, f"{label} {value}")
    screen.send(ESCAPE)
    screen.until(lambda text: "▔" not in text, 20, "the filter's end")


@pytest.mark.slow
@pytest.mark.parametrize("opened", [in_a_terminal, in_tmux])
def test_a_new_user_trains_looks_at_the_results_and_leaves(opened, tmp_path, cache_dir):
    argv = [sys.executable, "-m", "cxr_tui", "--cache", str(cache_dir), "--device", "cpu"]
    with opened(argv, tmp_path) as screen:
        screen.shows("No sessions yet.")
        screen.send("3")
        screen.shows("preset demo · unchanged")
        set_field(screen, "passes over", "epochs", "1")
        set_field(screen, "number of synthetic patients", "patients", "60")
        set_field(screen, "network's input", "image size", "64")
        screen.shows("3 changes")
        screen.send("S")
        screen.shows("✓ finished", 240)
        screen.send("5")
        screen.shows("table alone")
        assert "Cardiomegaly" in screen.text
        screen.send("6")
        screen.shows("in the box", 120)
        screen.until(lambda text: "reading the image" not in text, 60, "the image")
        assert "▀" in screen.text
        screen.send("s")
        screen.shows("saved:")
        screen.send("1")
        screen.shows("1 session,")
        screen.send("q")
        assert screen.exit_code() == 0
        assert screen.is_restored()
    (session,) = (tmp_path / "sessions").glob("*/")
    assert (session / "evaluation/test.json").is_file()
    assert len(list((session / "cams").glob("*.png"))) == 1
