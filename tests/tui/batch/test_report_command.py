"""``cxr-tui report`` as a script calls it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from small_disk import can_mount


@pytest.fixture
def sessions(trained_dir, tmp_path):
    shutil.copytree(trained_dir, tmp_path / "sessions" / "trained")
    return tmp_path / "sessions"


def test_the_path_alone_is_on_stdout_and_the_file_is_there(cxr_tui, sessions, cache_dir, tmp_path):
    done = cxr_tui("report", "trained", "--out", "r.html", "--cache", cache_dir)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "r.html\n"
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")
    looks = (sessions / "looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["why"] for line in looks] == ["report"]


def test_without_out_it_lies_in_the_session(cxr_tui, sessions, cache_dir):
    done = cxr_tui("report", "trained", "--markdown", "--json", "--cache", cache_dir)
    found = json.loads(done.stdout)
    path = sessions / "trained" / "trained-report.md"
    assert found == {"path": str(path), "size_bytes": path.stat().st_size}
    assert cxr_tui("evaluate", "trained", "--json", "--cache", cache_dir).returncode == 0


@pytest.mark.parametrize(
    ("out", "code", "words"),
    [
        ("none/r.html", 2, "its folder isn't there"),
        ("sessions", 2, "is a folder"),
        ("sessions/looks.jsonl/r.html", 2, "its folder isn't there"),
        ("x" * 300, 3, "can't be written (File name too long)"),
    ],
)
def test_a_place_that_takes_no_file_is_named(
    cxr_tui, sessions, cache_dir, tmp_path, out, code, words
):
    before = sorted(tmp_path.rglob("*.html"))
    done = cxr_tui("report", "trained", "--out", out, "--cache", cache_dir)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*.html")) == before


def test_on_a_full_disk_the_old_report_stays(sessions, cache_dir, tmp_path):
    if not can_mount():
        pytest.skip("mounting is not allowed here")
    (tmp_path / "disk").mkdir()
    report = [sys.executable, "-m", "cxr_tui", "report", "trained", "--out", "disk/r.html"]
    script = (
        'mount -t tmpfs -o size=64k tmpfs disk && echo old > disk/r.html && "$@"; echo $?;'
        " cat disk/r.html; ls -A disk"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *report,
         "--cache", str(cache_dir)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["3", "old", "r.html"]
    assert "disk/r.html: the report can't be written (No space left on device)" in done.stderr
