"""A full or failing disk holds a run; what was acknowledged is there, and it goes on by itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from small_disk import can_mount, fill, on_small_disk, recipe_keys
from terminal import Terminal

from core.recipe_toml import load_recipe
from core.store.sessions import create_session

SWEEP = Path(__file__).with_name("disk_faults.py")
ON_SMALL_DISK = Path(__file__).with_name("small_disk.py")
needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler to make the failing disk with"
)


@needs_compiler
@pytest.mark.slow
def test_whichever_change_the_disk_refuses_the_run_waits_or_stops_and_nothing_is_lost(
    phantom_dir, tmp_path
):
    swept = subprocess.run(
        [sys.executable, SWEEP, "--every", "110", "--start", "20", "--data", phantom_dir],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    seen = json.loads(swept.stdout)
    assert seen["faults"] == []
    assert swept.returncode == 0
    assert seen["runs"] >= 6
    # Half of them fail once and half for good; where a write is timed, it may not come.
    assert seen["waited"] >= seen["runs"] // 4
    assert seen["stopped"] >= seen["runs"] // 4


@needs_compiler
def test_overlays_on_a_disk_that_fails_are_whole_or_not_there(trained_dir, cache_dir, tmp_path):
    session = tmp_path / "sessions" / "trained"
    shutil.copytree(trained_dir, session)
    program = Path(__file__).with_name("overlay_faults.py")
    swept = subprocess.run(
        [sys.executable, program, session, cache_dir], capture_output=True, text=True, check=False
    )
    seen = json.loads(swept.stdout)
    assert seen["faults"] == []
    assert seen["changes"] >= 15  # two overlays, the sheet and the table


def filled(data, tmp_path, how):
    if not can_mount():
        pytest.skip("mounting is not allowed here")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        on_small_disk(data, disk, how), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), disk


def test_a_run_on_a_disk_that_fills_up_waits_and_ends_once_there_is_room(phantom_dir, tmp_path):
    seen, disk = filled(phantom_dir, tmp_path, "frees")
    assert seen["code"] == 0
    assert seen["kinds"][-1] == "Finished"
    assert any("no room on the disk of" in reason for reason in seen["reasons"])
    assert any(str(disk) in reason for reason in seen["reasons"])
    # The pause is told in the session too, once there is room to write it.
    assert sorted(seen["kept"]) == sorted(seen["kinds"][:-1])
    assert "Paused" in seen["kept"]
    assert seen["left"] == []


def test_under_the_console_a_full_disk_is_on_the_screen_until_there_is_room(
    phantom_dir, cache_dir, tmp_path
):
    if not can_mount():
        pytest.skip("mounting is not allowed here")
    sets = [f"{key}={value}" for key, value in recipe_keys(phantom_dir, minutes=1).items()]
    create_session(tmp_path / "made", load_recipe("demo", [*sets, "train.epochs=500"]), "one")
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=200m tmpfs disk && cp -r made disk/sessions && exec "$@"'
    console = [sys.executable, "-m", "cxr_tui", "--device", "cpu", "--cache", str(cache_dir)]
    argv = ["sh", "-c", script, "sh", *console, "--sessions", "disk/sessions"]
    with Terminal(["unshare", "--map-root-user", "--mount", *argv], folder=tmp_path) as screen:
        screen.shows("1 session,")
        screen.send("r")
        screen.shows("images/s", 120)
        ballast = Path(f"/proc/{screen.process.pid}/root{tmp_path}/disk/ballast")
        fill(ballast)
        screen.shows("Waiting: no room on the disk of", 120)
        screen.shows("it continues automatically")
        ballast.unlink()
        screen.until(lambda text: "● running" in text and "It waits" not in text, 60, "going on")
        screen.send("q")
        screen.shows("then quit")
        screen.send("s")
        assert screen.exit_code() == 0
        assert screen.is_restored()


def test_a_disk_that_is_too_small_for_the_run_is_refused_before_anything_is_decoded(
    phantom_dir, tmp_path
):
    seen, disk = filled(phantom_dir, tmp_path, "small")
    assert seen["code"] == 3
    assert "IngestDone" not in seen["kinds"]
    assert f"{disk}/sessions/one: the run with its cache needs 1" in seen["says"]
    assert "--sessions DIR" in seen["says"]


def test_a_run_on_a_disk_that_stays_full_stops_and_says_how_to_go_on(phantom_dir, tmp_path):
    seen, disk = filled(phantom_dir, tmp_path, "stays")
    assert seen["code"] == 75
    assert seen["kinds"][-1] == "Stopped"
    assert f"no room on the disk of {disk}" in seen["says"]
    assert f"cxr-tui --resume {disk}/sessions/one" in seen["says"]
    assert "Traceback" not in seen["says"]
    assert seen["left"] == []
