"""A sealed test part: closed at the end of a run, opened once, as if it had never been closed."""

from __future__ import annotations

import json
import shutil

import pytest

from core.events import Diagnosed, Finished
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.past import is_done
from core.store.session import Session
from core.store.sessions import create_session
from core.store.summary import SessionSummary


def trained(folder, name, phantom_dir, cache_dir, *more) -> Session:
    keys = ["dataset.phantom=none", f"dataset.images={phantom_dir}", "image.size_px=64"]
    keys += ["train.epochs=1", "train.batch_size=16", "train.few_images_first=never"]
    recipe = load_recipe("demo", [*keys, "evaluate.bootstrap=20", *more])
    session = create_session(folder, recipe, name)
    assert run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    return session


@pytest.fixture(scope="module")
def sealed(tmp_path_factory, phantom_dir, cache_dir) -> Session:
    """A finished run whose test part is closed."""
    folder = tmp_path_factory.mktemp("sealed")
    return trained(folder, "sealed", phantom_dir, cache_dir, "evaluate.sealed=true")


def test_a_sealed_run_ends_complete_without_a_figure_of_test(sealed):
    assert not (sealed.predictions / "test.csv").exists()
    assert not (sealed.path / "evaluation/test.json").exists()
    assert not (sealed.path.parent / "looks.jsonl").exists()
    events = list(sealed.events())
    assert isinstance(events[-1], Finished)
    assert "Evaluated" not in {type(event).__name__ for event in events}
    assert "test-sealed" in {event.check for event in events if isinstance(event, Diagnosed)}
    assert is_done(sealed) is not None
    assert SessionSummary.of(sealed).sealed


def test_nothing_shows_figures_of_a_sealed_part_and_all_say_how_to_open_it(
    sealed, cxr_tui, tmp_path
):
    places = ("--sessions", sealed.path.parent)
    for command in (("evaluate", "sealed"), ("compare", "sealed", "sealed")):
        done = cxr_tui(*command, *places)
        assert done.returncode == 3, done.stderr
        assert "sealed" in done.stderr
        assert "evaluate sealed --open" in done.stderr
    listed = cxr_tui("sessions", *places)
    assert listed.stdout.split()[-1] == "sealed"
    val = cxr_tui("evaluate", "sealed", "--split", "val", *places)
    assert val.returncode == 0, val.stderr
    asked = cxr_tui("evaluate", "sealed", "--open", *places)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    again = cxr_tui("--resume", "sealed", *places)
    assert again.returncode == 0
    assert "already finished" in again.stderr
    assert "--open" in again.stderr


def test_opening_writes_what_the_run_would_have_written_and_is_noted(
    sealed, cxr_tui, tmp_path, phantom_dir, cache_dir
):
    plain = trained(tmp_path / "plain", "plain", phantom_dir, cache_dir)
    shutil.copytree(sealed.path, tmp_path / "sessions/sealed")
    places = ("--sessions", tmp_path / "sessions", "--cache", cache_dir)
    opened = cxr_tui("evaluate", "sealed", "--open", "--yes", "--json", *places)
    assert opened.returncode == 0, opened.stderr
    report = json.loads(opened.stdout)
    assert report["looks"]["times"] == 1
    (line,) = (tmp_path / "sessions/looks.jsonl").read_text().splitlines()
    assert json.loads(line)["why"] == "opened"
    now = Session(tmp_path / "sessions/sealed")
    for name in ("predictions/val.csv", "predictions/test.csv", "evaluation/test.json"):
        assert (now.path / name).read_bytes() == (plain.path / name).read_bytes(), name
    assert is_done(now) is not None
    assert is_done(now).figures is not None
    assert not SessionSummary.of(now).sealed
    once_more = cxr_tui("evaluate", "sealed", "--open", *places)
    assert once_more.returncode == 0
    assert "open already" in once_more.stderr
