"""Ten things that people come to do, each with the keys that it takes: none may take more.

A path or a value that is typed counts as one key.
"""

import shutil

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun, trained

from core.events import Failed, Stopped
from core.recipe_toml import changed_recipe
from core.requests import Request
from cxr_tui.app.app import ConsoleApp
from cxr_tui.cams.table import CamTable
from cxr_tui.console.path_input import PathInput
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.results.most_wrong import MostWrong
from cxr_tui.sessions.comparison import ComparisonScreen
from cxr_tui.sessions.table import SessionsTable


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
def app(workspace, tmp_path, monkeypatch):
    """The console of somebody who has opened no data set before."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return ConsoleApp(workspace)


@pytest.fixture
def finished(workspace, trained_dir):
    """A copy of a session that was run to its end."""
    workspace.sessions.mkdir(exist_ok=True)
    shutil.copytree(trained_dir, workspace.sessions / "trained")
    return "trained"


async def test_one_key_to_the_first_run(app):
    async with app.run_test(size=(80, 24)) as pilot:
        hand = Hand(pilot)
        await shows(pilot, "No sessions yet.")
        await hand.press("enter")
        await until(pilot, lambda: app.workspace.running is not None, "the run")
        running = app.workspace.running
        running.source.ask(Request.ABANDON)
        await until(pilot, lambda: app.workspace.running is None, "its end", 120)
    assert hand.count == 1


async def test_six_keys_from_an_own_nih_folder_to_a_run_of_its_recipe(app, nih_dir):
    async with app.run_test(size=(80, 24)) as pilot:
        hand = Hand(pilot)
        await shows(pilot, "o           choose a data set of your own")
        await hand.press("o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await until(pilot, lambda: isinstance(app.focused, PathInput), "the field")
        await hand.type(str(nih_dir))
        await hand.press("enter")
        await shows(pilot, "This is NIH ChestX-ray14", 60)
        assert "its findings, split by patient" in plain(app)
        await hand.press("enter")
        await until(pilot, lambda: app.workspace.preset == "nih-14", "its recipe")
        # Where the ImageNet weights are not here, S says so instead of starting.
        app.workspace.draft = changed_recipe(app.workspace.draft, ["model.weights=none"])
        app.news.publish(None)
        await until(pilot, lambda: app.workspace.problem != "", "that images are missing", 60)
        await shows(pilot, "missing ‹stop›")  # most of NIH's images are not here
        await hand.press("right")
        await until(pilot, lambda: app.workspace.problem == "", "that they are skipped", 60)
        # S starts it
    assert hand.count + len("S") <= 6


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


async def test_three_keys_to_the_map_of_the_worst_false_negative(app, finished):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await until(pilot, lambda: app.current_mode == "training", "the session")
        hand = Hand(pilot)
        await hand.press("5")
        await shows(pilot, "0.5┤")  # its scores are read
        await hand.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MostWrong), "the images")
        await shows(pilot, "labelled present, scored lowest")
        missed = app.screen.query_one("#lowest")
        assert app.focused is missed
        image = missed._images[0].image
        await hand.press("enter")
        await until(pilot, lambda: app.current_mode == "cams", "its map")
        await until(pilot, lambda: bool(app.screen.query(CamTable)), "the table of maps")
        wanted = app.workspace.image_to_look_at
        assert wanted is None or wanted.image == image
    assert hand.count <= 3


async def test_two_keys_to_compare_a_session_with_the_one_below(app, workspace):
    for name in ("first", "second"):
        a_session(workspace, *trained(2), name=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "2 sessions")
        await shows(pilot, "space mark")
        hand = Hand(pilot)
        await hand.press("space", "Y")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen), "the comparison")
    assert hand.count == 2


async def test_five_keys_to_change_a_hyperparameter_and_run_again(app, finished, workspace):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await shows(pilot, "✓ finished")
        hand = Hand(pilot)
        await hand.press("u")
        await shows(pilot, f"preset {finished}")
        await hand.press("enter")
        await hand.type("0.003")
        await hand.press("enter")
        await until(pilot, lambda: workspace.draft.train.learning_rate == 0.003, "the rate")
        # S starts it
    assert hand.count + len("S") <= 5


async def test_a_recipe_is_reused_at_the_field_that_was_changed_last(app, finished, workspace):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await shows(pilot, "✓ finished")
        await press(pilot, "u")
        await shows(pilot, f"preset {finished}")
        await press(pilot, "k", "k", "k", "enter", "2", "4", "enter")
        await until(pilot, lambda: workspace.draft.train.batch_size == 24, "the batch size")
        await press(pilot, "g", "4", "u")
        await until(pilot, lambda: workspace.draft.train.batch_size != 24, "the session's recipe")
        form = app.screen.query_one(RecipeForm)
        await until(pilot, lambda: form.field.key == "train.batch_size", "the field")


async def test_one_key_to_a_findings_interval(app, finished):
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session(finished, "training")
        await until(pilot, lambda: app.current_mode == "training", "the session")
        await press(pilot, "5")
        await shows(pilot, "95 %")
        assert "–" in plain(app)


async def test_one_key_to_a_findings_charts_as_files(app, finished, workspace):
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.open_session(finished, "results")
        await shows(pilot, "0.5┤")  # its scores are read
        await press(pilot, "e")
        charts = workspace.sessions / finished / "charts"
        await until(pilot, lambda: bool(list(charts.glob("roc-*.png"))), "the chart", 60)


async def test_two_keys_to_delete_three_failed_sessions_and_no_other(app, workspace):
    a_session(workspace, *trained(2), name="good")
    for name in ("first", "second", "third"):
        failed = Failed(time=1100.0, message="no room", exit_code=4)
        a_session(workspace, begun(), failed, name=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "4 sessions")
        app.screen.query_one(SessionsTable).move_cursor(row=rows_of(app).index("second"))
        hand = Hand(pilot)
        await hand.press("d")
        await shows(pilot, "f     delete all 3 that failed permanently")
        assert all(name in plain(app) for name in ("first", "second", "third"))
        await hand.press("f")
        await shows(pilot, "1 session,")
        assert rows_of(app) == ["good"]
    assert hand.count == 2


async def test_nothing_but_what_failed_is_deleted_with_what_failed(app, workspace):
    a_session(workspace, *trained(2), name="good")
    for name in ("first", "second"):
        failed = Failed(time=1100.0, message="no room", exit_code=4)
        a_session(workspace, begun(), failed, name=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        table = app.screen.query_one(SessionsTable)
        table.move_cursor(row=rows_of(app).index("good"))
        await press(pilot, "d")
        await shows(pilot, "Delete good?")
        assert "that failed" not in plain(app)
        await press(pilot, "f")
        assert "Delete good?" in plain(app)


def rows_of(app):
    return app.screen.query_one(SessionsTable)._names
