"""Every entry of a queue is run once, whatever happens to its workers and its disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from queue_disks import queue_on_disks
from queue_faults import faults_of, queue_of_faults
from small_disk import can_mount
from small_runs import console, kinds_of, until

from core.recipe_toml import changed_recipe, load_recipe, recipe_toml
from core.store.queue.queue import Queue
from core.store.session import Session
from core.store.sessions import create_session

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_killed_workers_and_a_full_disk_cost_no_entry_and_run_none_twice(phantom_dir, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = queue_of_faults(phantom_dir, disk, 3)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert faults_of(json.loads(done.stdout), 3) == []


def small(phantom_dir, epochs):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
        "image.size_px": 32,
        "subset.max_images": 45,
        "train.epochs": epochs,
        "train.batch_size": 8,
        "train.optimizer": "sgd",
        "train.momentum": 0,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "evaluate.bootstrap": 0,
    }
    return load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])


def hang_up(terminal):
    terminal.hang_up()


def hand_over(terminal):
    terminal.send("q")
    terminal.shows("leave it running, without a screen, and quit")
    terminal.send("d")


@pytest.mark.parametrize("leave", [hang_up, hand_over])
def test_without_its_screen_the_console_or_its_heir_goes_on_with_the_rest_of_the_queue(
    phantom_dir, cache_dir, tmp_path, leave
):
    queue = Queue(tmp_path / "sessions")
    for name in ("first", "second"):
        queue.add(small(phantom_dir, epochs=8), name)
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("queue: 2 waiting")
        terminal.send("E")
        terminal.shows("S start")
        terminal.send("S")
        first = queue.entry("first").session
        terminal.until(lambda _: "StepRecorded" in kinds_of(first), 180, "a step")
        assert queue.entry("second").state() == "waiting"
        terminal.send("\x1b")
        terminal.until(lambda text: "takes" not in text, 60, "the list alone")
        leave(terminal)
        if leave is hand_over:
            terminal.until(lambda _: terminal.process.poll() is not None, 120, "its end")
        assert terminal.process.wait(timeout=300) == 0
    ends = lambda: [entry.state() for entry in queue.entries()]  # noqa: E731
    until(lambda: ends() == ["finished", "finished"], "both ends", seconds=300)
    starts = 2 if leave is hand_over else 1
    assert kinds_of(first).count("RunStarted") == starts
    for entry in queue.entries():
        assert kinds_of(entry.session).count("Finished") == 1


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_a_full_or_read_only_disk_leaves_the_queue_as_it_was_and_is_named(tmp_path):
    done = subprocess.run(queue_on_disks(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    full, read_only = seen["full"], seen["read_only"]
    for what in ("add", "move", "begin", "end"):
        assert "No space left on device" in full[what], what
    for what in ("add", "move", "take"):
        assert "Read-only file system" in read_only[what], what
    assert full["order"] == read_only["order"] == ["a", "b"]
    assert full["entries"] == read_only["entries"]
    assert full["left"] == []


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_a_run_that_lacks_space_stays_in_the_queue_and_is_run_once_there_is_some(
    phantom_dir, tmp_path
):
    disk, recipe = tmp_path / "disk", tmp_path / "recipe.toml"
    disk.mkdir()
    once = changed_recipe(small(phantom_dir, epochs=1), ["train.disk_wait_minutes=0"])
    recipe.write_text(recipe_toml(once))
    command = queue_on_disks(disk, recipe)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lacking, enough = json.loads(done.stdout)
    assert (lacking["code"], lacking["states"]) == (75, ["begun"])
    assert "0001-demo is tried again later: " in lacking["says"]
    assert lacking["says"].endswith("go on with: cxr-tui queue run\n")
    assert lacking["kinds"][-1] == "Failed"
    assert (enough["code"], enough["states"]) == (0, ["finished"])
    assert enough["kinds"][-1] == "Finished"


def test_two_consoles_add_to_one_queue_at_once_and_neither_entry_is_lost(
    phantom_dir, cache_dir, tmp_path
):
    sessions = tmp_path / "sessions"
    changes = {name: seed for seed, name in enumerate(("one", "other"), start=1)}
    for name, seed in changes.items():
        recipe = changed_recipe(small(phantom_dir, epochs=400), [f"train.seed={seed}"])
        create_session(sessions, recipe, name)
    with (
        console(tmp_path, cache_dir, "--attach", "one") as one,
        console(tmp_path, cache_dir, "--attach", "other") as other,
    ):
        for terminal, name in ((one, "one"), (other, "other")):
            terminal.shows(f"{name} · · new")
            terminal.send("r")
            if terminal is other:  # the first one trains
                terminal.shows("start all the same")
                terminal.send("y")
            run = Session(sessions / name)
            terminal.until(lambda _, run=run: "StepRecorded" in kinds_of(run), 180, "a step")
            terminal.send("u")
            terminal.shows("S queue")
            terminal.send("S")
            terminal.shows(f"{name} is running")
        for terminal in (one, other):
            terminal.send("\r")
        for terminal in (one, other):
            terminal.shows("Added to the queue as entry")
    entries = Queue(sessions).entries()
    assert [entry.number for entry in entries] == [1, 2]
    assert {entry.recipe.train.seed for entry in entries} == {1, 2}
    assert [entry.state() for entry in entries] == ["waiting", "waiting"]
