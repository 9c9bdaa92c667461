"""A session that is done is left alone; one whose start was refused leaves nothing behind."""

import shutil

import pytest
from console import press, shows, until

from core.event_lines import event_line
from core.events import EpochDone, Evaluated, Failed, Finished, ModelReady, Resumed, RunStarted
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.past import is_done
from core.store.refused import take_away
from core.store.session import Session
from core.store.sessions import create_session
from core.store.summary import SessionSummary
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.workspace import Workspace


@pytest.fixture
def done(trained_dir, tmp_path):
    shutil.copytree(trained_dir, tmp_path / "done")
    return Session(tmp_path / "done")


async def test_r_on_a_finished_session_asks_how_many_epochs_it_shall_have_and_escape_leaves_it(
    done, cache_dir
):
    before = done.events_path.read_bytes()
    app = ConsoleApp(Workspace(done.path.parent, cache_dir, device="cpu"))
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "finished")
        await press(pilot, "r")
        await shows(pilot, "How many epochs in total?")
        for odd in ("1", "9" * 5000, "٣٣²", "-9", ""):
            app.screen.query_one("#value").value = odd
            await press(pilot, "enter")
            await shows(pilot, "✗ a whole number above")
        await press(pilot, "escape")
        assert app.current_mode == "sessions"
        assert app.workspace.running is None
    assert done.events_path.read_bytes() == before


async def test_more_epochs_are_trained_from_where_a_finished_session_stands(done, cache_dir):
    epochs = done.recipe.train.epochs
    app = ConsoleApp(Workspace(done.path.parent, cache_dir, device="cpu"))
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "finished")
        await press(pilot, "r")
        await shows(pilot, "How many epochs in total?")
        await press(pilot, "ctrl+u", *str(epochs + 1), "enter")
        await until(pilot, lambda: app.current_mode == "training", "the run")
        shown = app.workspace.shown
        await until(
            pilot, lambda: shown.view.state == "finished" and shown.view.epoch > epochs, "it"
        )
    done_epochs = [event.epoch for event in done.events() if isinstance(event, EpochDone)]
    assert done_epochs[-1] == epochs + 1
    assert done_epochs == sorted(set(done_epochs))
    assert done.recipe.train.epochs == epochs + 1


def test_more_epochs_or_other_figures_are_something_left_to_do(done):
    recipe = done.recipe
    assert is_done(done, recipe) is not None
    assert is_done(done, changed_recipe(recipe, ["note=seen"])) is not None
    assert is_done(done, changed_recipe(recipe, ["train.epochs=30"])) is None
    assert is_done(done, changed_recipe(recipe, ["evaluate.bootstrap=30"])) is None


def of_a_version_before(session):
    described = session.read_json("dataset.json")
    del described["seals"]["end"]
    session.write_json("dataset.json", described)


def appended(session, *kinds):
    """The session's own last words of these kinds, once more at its end."""
    words = {type(event): event for event in session.events()}
    with session.events_path.open("a") as events:
        events.writelines(f"{event_line(words[kind])}\n" for kind in kinds)


@pytest.mark.parametrize("is_of_before", [False, True])
def test_an_end_that_somebody_appended_to_an_interrupted_session_is_none(
    done, cache_dir, is_of_before
):
    longer = changed_recipe(done.recipe, ["train.epochs=9"])
    told = []

    def asked():
        return Request.STOP if any(isinstance(e, Resumed) for e in told) else Request.CONTINUE

    assert not run(done, told.append, asked, Machine("cpu", cache_dir), longer)
    if is_of_before:
        of_a_version_before(done)
    with done.events_path.open("a") as events:
        for event in (Evaluated(report={}), Finished(epochs=9, best_epoch=9, seconds=1.0)):
            events.write(event_line(event) + "\n")
    assert is_done(done) is None
    assert SessionSummary.of(done).state == "interrupted"


def test_figures_that_somebody_appended_to_a_finished_session_are_not_its_own(done):
    appended(done, Finished)
    assert is_done(done) is not None
    appended(done, Evaluated, Finished)
    assert is_done(done) is None


def test_a_finished_session_of_a_version_before_still_is(done):
    of_a_version_before(done)
    assert is_done(done) is not None
    assert SessionSummary.of(done).state == "finished"


def begun(tmp_path, *events):
    session = create_session(tmp_path, Recipe(), "one")
    with session.writing() as writer:
        for event in events:
            writer.append(event)
    return session


STARTED = RunStarted(name="one", host="here", pid=1)
REFUSED = Failed(message="no such folder", exit_code=3)


def test_a_refused_start_is_taken_away_whole(tmp_path):
    session = begun(tmp_path, STARTED, REFUSED)
    assert take_away(session, session.path.lstat())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["began", "foreign", "another"])
def test_what_began_or_is_not_ours_stays(tmp_path, why):
    ready = ModelReady(
        **dict.fromkeys(("device", "device_name", "precision", "weights"), ""),
        **dict.fromkeys(("matched_tensors", "total_tensors", "steps_per_epoch"), 1),
        base_rate_loss=None,
    )
    session = begun(tmp_path, STARTED, *([ready] if why == "began" else []), REFUSED)
    made = session.path.lstat()
    if why == "foreign":
        (session.path / "notes.txt").write_text("mine")
    if why == "another":
        session.path.rename(tmp_path / "moved")
        shutil.copytree(tmp_path / "moved", session.path)
    assert not take_away(session, made)
    assert (session.path / "recipe.toml").is_file()


def test_a_refused_start_leaves_no_session_from_the_command_line(cxr_tui, tmp_path):
    changes = ["--set", "dataset.images=/nowhere", "--set", "model.weights=none"]
    refused = cxr_tui("--batch", "nih-14", *changes, "--check")
    assert refused.returncode == 3
    assert "/nowhere is missing" in refused.stderr
    assert "deleted: its run did not start" in refused.stderr
    assert list((tmp_path / "sessions").iterdir()) == []


async def test_a_refused_start_leaves_no_session_from_the_console_either(tmp_path, cache_dir):
    app = ConsoleApp(Workspace(tmp_path / "sessions", cache_dir, device="cpu"))
    async with app.run_test(size=(100, 30)) as pilot:
        app.start_run(
            changed_recipe(load_recipe("nih-14"), ["dataset.images=/nowhere", "model.weights=none"])
        )
        await shows(pilot, "its session was deleted")
        await shows(pilot, "✗ dataset.images: /nowhere is missing")
        await shows(pilot, "\n   images, or NIH's images_*.tar.gz.")  # under its words
        await press(pilot, "1")
        await shows(pilot, "No sessions yet.")
    assert list((tmp_path / "sessions").iterdir()) == []
