"""Weights are fetched from the Recipe screen, off the UI thread, and can be broken off."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from console import press, shows, until
from file_server import Answer, FileServer, served

from core.model.pretrained.part_file import part_path
from core.model.pretrained.places import own_folder
from core.recipe_toml import load_recipe
from cxr_tui.app.app import ConsoleApp
from cxr_tui.recipe.look_ahead import LookAhead
from cxr_tui.recipe.weights_dialog import FetchDialog

CONTENT = os.urandom(600_000)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("CXR_TUI_CONFIG", str(tmp_path / "config.toml"))


def offer(server: FileServer) -> None:
    """Put what the server has into the user's list, after all others."""
    table = f'url = "{server.url}"\nbytes = {len(server.content)}\nsha256 = "{server.sha256}"\n'
    Path(os.environ["CXR_TUI_CONFIG"]).write_text(f"[weights.stand-in]\n{table}")


async def open_last_of_list(pilot):
    pilot.app.action_mode("recipe")
    await shows(pilot, "preset demo")
    await press(pilot, "J")
    await shows(pilot, "Start from weights trained on")
    await press(pilot, "end", "enter")


async def test_what_is_fetched_becomes_the_drafts_weights(workspace):
    drops = [Answer(closes_after=200_000), Answer()]
    with served(CONTENT, drops) as server:
        offer(server)
        app = ConsoleApp(workspace)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_last_of_list(pilot)
            place = own_folder() / "weights.pth"
            await until(pilot, lambda: workspace.draft.model.weights == str(place), "the draft")
    assert place.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=200000-"]


async def test_a_fetch_is_broken_off_and_gone_on_with(workspace):
    go_on = threading.Event()
    answers = [Answer(closes_after=200_000), Answer(waits_for=go_on)]
    with served(CONTENT, answers) as server:
        offer(server)
        app = ConsoleApp(workspace)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_last_of_list(pilot)
            await until(pilot, lambda: len(server.ranges) == 2, "the second request")
            await press(pilot, "escape")
            await until(pilot, lambda: not isinstance(app.screen, FetchDialog), "the form")
            go_on.set()
            part = part_path(own_folder() / "weights.pth")
            assert part.stat().st_size >= 200_000
            assert workspace.draft.model.weights == "none"


async def test_a_refusal_says_what_to_bring_and_enter_tries_again(workspace):
    with served(CONTENT, [Answer(status=404), Answer()]) as server:
        offer(server)
        app = ConsoleApp(workspace)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_last_of_list(pilot)
            await shows(pilot, "404 Not Found")
            await shows(pilot, "Without a network")
            await press(pilot, "enter")
            await until(pilot, lambda: workspace.draft.model.weights != "none", "the draft")


async def test_a_draft_that_lacks_its_weights_names_the_key(workspace, phantom_dir):
    changes = [f"dataset.images={phantom_dir}", "image.size_px=32"]
    workspace.draft = load_recipe("nih-14", changes)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("recipe")
        await until(pilot, lambda: bool(app.screen.query(LookAhead)), "the form")
        ahead = app.screen.query_one(LookAhead)
        await until(pilot, lambda: ahead.estimate and not ahead.estimate.stage, "the estimate")
        assert ahead.estimate.problem.endswith("damaged: 3, J fetches them")
        assert ahead.estimate.images
        await press(pilot, "S")
        await shows(pilot, "This run would be refused")


async def test_weights_that_are_not_here_are_known_wherever_a_run_is_started(workspace):
    workspace.draft = load_recipe("demo", ["model.weights=imagenet", "image.size_px=32"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "S")
        await shows(pilot, "This run would be refused")
        await shows(pilot, "3, J fetches them")
        await press(pilot, "escape")
        assert workspace.running is None
