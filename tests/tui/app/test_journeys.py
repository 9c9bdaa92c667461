"""Ten things that people come to do, each with the keys that it takes: none may take more.

A path or a value that is typed counts as one key.
"""

import shutil

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun, trained

from core.events import Failed, Stopped
from core.requests import Request
from cxr_tui.app.app import ConsoleApp
from cxr_tui.cams.table import CamTable
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.results.most_wrong import MostWrong


class Hand:
    """Presses keys, and counts them."""

    def __init__(self, pilot):
        self.pilot, self.count = pilot, 0

    async def press(self, *keys):
        self.count += len(keys)
        await press(self.pilot, *keys)

    async def type(self, text):
        self.count += 1
        await press(self.pilot, *text)


@pytest.fixture
def app(workspace):
    return ConsoleApp(workspace)


@pytest.fixture
def finished(workspace, trained_dir):
    """A copy of a session that was run to its end."""
    workspace.sessions.mkdir(exist_ok=True)
    shutil.copytree(trained_dir, workspace.sessions / "trained")
    return "trained"


async def test_two_keys_to_the_first_run(app):
    async with app.run_test(size=(80, 24)) as pilot:
        hand = Hand(pilot)
        await shows(pilot, "No sessions yet.")
        await hand.press("a", "enter")
        await until(pilot, lambda: app.workspace.running is not None, "the run")
        running = app.workspace.running
        running.source.ask(Request.ABANDON)
        await until(pilot, lambda: app.workspace.running is None, "its end", 120)
    assert hand.count == 2


async def test_six_keys_from_an_own_nih_folder_to_a_run_of_its_recipe(app, nih_dir):
    async with app.run_test(size=(80, 24)) as pilot:
        hand = Hand(pilot)
        await hand.press("2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await hand.type(str(nih_dir))
        await hand.press("enter")
        await shows(pilot, "This is NIH ChestX-ray14", 60)
        await hand.press("enter")
        await until(pilot, lambda: app.workspace.preset == "nih-14", "its recipe")
        await until(pilot, lambda: app.workspace.problem != "", "that images are missing", 60)
        await hand.press("S")
        await shows(pilot, "This run would be refused")  # most of NIH's images are not here
    assert hand.count <= 6


async def test_three_keys_to_stop_a_run_and_go_on(app, workspace):
    stopped = Stopped(time=1100.0, step=20, reason="asked to")
    a_session(workspace, *trained(2), stopped)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("one", "training")
        await shows(pilot, "■ stopped")
        hand = Hand(pilot)
        await hand.press("r")
        await until(pilot, lambda: workspace.running is not None, "the run")
        workspace.running.source.ask(Request.ABANDON)
        await until(pilot, lambda: workspace.running is None, "its end", 120)
    assert hand.count + len("Xy") == 3


async def test_four_keys_to_the_map_of_the_worst_false_negative(app, finished):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await until(pilot, lambda: app.current_mode == "training", "the session")
        hand = Hand(pilot)
        await hand.press("5")
        await shows(pilot, "0.5┤")  # its scores are read
        await hand.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MostWrong), "the images")
        await hand.press("tab", "enter")
        await until(pilot, lambda: app.current_mode == "cams", "its map")
        await until(pilot, lambda: bool(app.screen.query(CamTable)), "the table of maps")
    assert hand.count <= 4


async def test_eight_keys_to_change_a_hyperparameter_and_run_again(app, finished, workspace):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await shows(pilot, "✓ finished")
        hand = Hand(pilot)
        await hand.press("u")
        await shows(pilot, f"preset {finished}")
        await hand.press("slash")
        await hand.type("learning rate")
        await hand.press("enter", "enter", "ctrl+u")
        await hand.type("0.003")
        await hand.press("enter")
        await until(pilot, lambda: workspace.draft.train.learning_rate == 0.003, "the rate")
        # S starts it
    assert hand.count + len("S") <= 9


async def test_one_key_to_a_findings_interval(app, finished):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await until(pilot, lambda: app.current_mode == "training", "the session")
        await press(pilot, "5")
        await shows(pilot, "95 %")
        assert "–" in plain(app)


async def test_two_keys_to_a_chart_as_a_file(app, finished, workspace):
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.open_session(finished, "results")
        await shows(pilot, "AUROC")
        await press(pilot, "4", "e")
        file = workspace.sessions / finished / "charts" / "loss.png"
        await until(pilot, file.is_file, "the chart", 60)


async def test_five_keys_to_delete_three_failed_sessions(app, workspace):
    for name in ("first", "second", "third"):
        failed = Failed(time=1100.0, message="no room", exit_code=4)
        a_session(workspace, begun(), failed, name=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        hand = Hand(pilot)
        await hand.press("space", "space", "space", "d")
        await shows(pilot, "Delete 3 sessions")
        await hand.press("y")
        await shows(pilot, "No sessions yet.")
    assert hand.count <= 5
