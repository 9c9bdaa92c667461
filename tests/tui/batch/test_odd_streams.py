"""The program where stdout spells little, ends early or is full, and where names are none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY

PROGRAM = [sys.executable, "-m", "cxr_tui"]
TOO_LONG = "a" * 300


def run(folder, *arguments, encoding="utf-8", **settings):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(REPOSITORY)}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=60,
        **settings,
    )


def audit(phantom_dir, cache_dir, *more):
    places = ["--cache", cache_dir, "--set", "dataset.phantom=none"]
    return ["audit", "demo", *places, "--set", f"dataset.images={phantom_dir}", *more]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_table_is_printed_whatever_stdout_can_spell(tmp_path, phantom_dir, cache_dir, encoding):
    done = run(tmp_path, *audit(phantom_dir, cache_dir), encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert "Cardiomegaly" in done.stdout.decode(encoding)


def test_json_escapes_what_stdout_cannot_spell(tmp_path, phantom_dir, cache_dir):
    told = [
        json.loads(run(tmp_path, *audit(phantom_dir, cache_dir, "--json"), encoding=each).stdout)
        for each in ("ascii", "utf-8")
    ]
    assert told[0] == told[1]


def test_a_finished_session_is_shown_as_json_whatever_stdout_can_spell(tmp_path, trained_dir):
    resumed = "--resume", trained_dir, "--json"
    told = [
        [json.loads(line) for line in run(tmp_path, *resumed, encoding=each).stdout.splitlines()]
        for each in ("ascii", "utf-8")
    ]
    assert told[0] == told[1]
    assert [event["event"] for event in told[0]] == ["Evaluated", "Finished"]


def test_a_reader_that_has_left_is_no_error_and_nothing_is_said(tmp_path, phantom_dir, cache_dir):
    ours, theirs = os.pipe()
    os.close(ours)
    done = run(tmp_path, *audit(phantom_dir, cache_dir), stdout=theirs)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_behind_stdout_is_named(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = run(tmp_path, "sessions", stdout=full)
    assert done.returncode == 4
    assert done.stderr.startswith(b"cxr-tui: stdout: No space left on device.")


def test_a_folder_that_is_gone_is_named(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f'rmdir "{gone}"; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *PROGRAM, "sessions", "--sessions", tmp_path],
        cwd=gone,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
    )
    assert done.returncode == 3
    assert str(gone).encode() in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--batch", "demo", "--session", ""], 2, "--session: the name is empty"),
        (["--resume", ""], 2, "the session's name is empty"),
        (["--batch", "demo", "--cache", ""], 2, "--cache: is empty"),
        (["--batch", "demo", "--sessions", ""], 2, "--sessions: is empty"),
        (["--batch", ""], 2, "--batch: is empty"),
        (["--batch", "demo", "--session", TOO_LONG], 2, "at most 120"),
        (["--resume", TOO_LONG], 2, "there is no session of this name"),
        (["--batch", TOO_LONG], 2, "File name too long"),
        (["audit", "demo", "--cache", TOO_LONG], 3, "File name too long"),
        (["--batch", "demo", "--sessions", TOO_LONG], 2, "File name too long"),
        (["evaluate", "--predictions", TOO_LONG, "--labels", TOO_LONG], 3, "File name too long"),
        (["--batch", "nih-14", "--set", f"dataset.images={TOO_LONG}"], 3, "is missing"),
    ],
)
def test_names_that_no_file_has_are_refused(tmp_path, arguments, code, message):
    done = run(tmp_path, *arguments)
    assert (done.returncode, b"defect" in done.stderr) == (code, False), done.stderr
    assert message in done.stderr.decode()
    assert not [path for path in tmp_path.rglob("recipe.toml") if "" in arguments]


HELD_FOR_EVER = """
import atexit, sys, threading
from cxr_tui.terminal import streams

def hold():
    sys.stdout.outlet.changed.acquire()
    held.set()
    threading.Event().wait()

def hold_as_it_ends():
    threading.Thread(target=hold, daemon=True).start()
    held.wait()

held = threading.Event()
atexit.register(hold_as_it_ends)  # what is registered first is called last
streams.outlive_readers()
print("all is said")
"""


def test_a_process_ends_though_its_writing_thread_is_caught_in_the_middle(tmp_path):
    # The interpreter flushes stdout once its threads run no more: one of them may hold the lock.
    done = subprocess.run(
        [sys.executable, "-c", HELD_FOR_EVER],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "all is said\n", "")
