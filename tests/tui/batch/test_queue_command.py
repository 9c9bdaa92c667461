"""``cxr-tui queue`` on the command line: what it prints, what it refuses, how it ends."""

import json
import subprocess
import sys

import pytest

from core.errors import CxrError
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next
from cxr_tui.commands.queue import main

SMALL = {
    "dataset.phantom": "none",
    "dataset.findings": '["Cardiomegaly","Effusion"]',
    "image.size_px": 32,
    "subset.max_images": 45,
    "train.epochs": 1,
    "train.batch_size": 8,
    "train.precision": "fp32",
    "train.optimizer": "sgd",
    "train.momentum": 0,
    "train.few_images_first": "never",
    "evaluate.bootstrap": 0,
}


@pytest.fixture
def queue(cxr_tui, tmp_path, capsys):
    """Runs the command on a folder of its own; what trains in a process of its own."""

    def run(*arguments):
        arguments = (*arguments, "--sessions", str(tmp_path / "s"))
        if arguments[0] == "run":
            return cxr_tui("queue", *arguments)
        try:
            code = main(arguments)
        except CxrError as error:
            sys.stderr.write(f"{error}\n")
            code = error.exit_code
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run


def entries(queue):
    return json.loads(queue("--json").stdout)["entries"]


def test_entries_are_added_moved_paused_and_removed(queue, tmp_path):
    added = queue("add", "demo", "--count", "2", "--set", "train.seed=4")
    assert added.returncode == 0
    assert "entry 1  session" in added.stdout
    assert "seed 5" in added.stdout
    one = json.loads(queue("add", "demo", "--session", "mine", "--json").stdout)
    assert (one["entry"], one["session"], one["state"]) == (3, "mine", "waiting")
    assert queue("move", "mine", "first").returncode == 0
    assert [one["entry"] for one in entries(queue)] == [3, 1, 2]
    assert queue("move", "3", "2").returncode == 0
    assert [one["entry"] for one in entries(queue)] == [1, 3, 2]
    assert queue("pause").returncode == 0
    assert json.loads(queue("--json").stdout)["paused"] is True
    assert queue("resume").returncode == 0
    assert queue("remove", "1", "mine").returncode == 0
    assert [one["entry"] for one in entries(queue)] == [2]
    assert "1 entry removed" in queue("clear").stderr
    assert entries(queue) == []
    assert "is empty" in queue().stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "demmo"), "demo"),
        (("add", "demo", "--set", "train.epoch=3"), "train.epochs"),
        (("add", "demo", "--session", "a/b"), "not a valid session name"),
        (("add", "demo", "--session", "a", "--count", "2"), "--count"),
        (("add", "demo", "--count", "0"), "from 1 to 100"),
        (("remove", "7"), "no such entry"),
        (("move", "1", "up"), "first, last"),
        (("retry", "x"), "no such entry"),
        (("swim",), "invalid choice"),
    ],
)
def test_what_is_wrong_is_refused_with_code_2(queue, arguments, words):
    done = queue(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_names_with_control_characters_are_refused_without_them(cxr_tui):
    done = cxr_tui("queue", "add", "demo", "--session", "[bold]\x1b[31m")
    assert done.returncode == 2
    assert "is not a valid session name" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_exit_code_is_that_of_the_first_entry_that_failed_and_the_others_are_run(
    queue, phantom_dir, cache_dir, tmp_path
):
    sets = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    queue("add", "demo", *sets, "--set", "dataset.images=/data/gone", "--session", "gone")
    queue("add", "demo", *sets, "--set", f"dataset.images={phantom_dir}", "--session", "sound")
    done = queue("run", "--until-empty", "--device", "cpu", "--cache", cache_dir, "--json")
    assert done.returncode == 3
    gone, sound = map(json.loads, done.stdout.splitlines())
    assert (gone["session"], gone["state"], gone["exit_code"]) == ("gone", "failed", 3)
    assert "/data/gone" in gone["message"]
    assert (sound["session"], sound["state"], sound["exit_code"]) == ("sound", "finished", 0)
    listed = queue()
    assert "finished" in listed.stdout
    assert "entry 1: dataset.images: /data/gone is missing" in listed.stderr
    assert take_next(Queue(tmp_path / "s")) is None
    assert "1 waits again" in queue("retry", "gone").stderr
    queue("add", "demo", *sets, "--set", f"dataset.images={phantom_dir}", "--session", "like-it")
    like_it = entries(queue)[-1]
    assert like_it["seconds_left"] > 0  # from how long the sound one took
    queue("pause")
    paused = queue("run", "--until-empty", "--device", "cpu")
    assert (paused.returncode, paused.stdout) == (0, "")
    assert "paused; go on with: cxr-tui queue resume" in paused.stderr
    assert "1 entry removed" in queue("clear", "--ended").stderr
    assert [one["session"] for one in entries(queue)] == ["gone", "like-it"]
