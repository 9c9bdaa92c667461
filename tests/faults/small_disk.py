"""A run on a real disk of a few hundred megabytes that fills up in the middle, and gets room again.

    unshare --map-root-user --mount python tests/faults/small_disk.py DATA MOUNT_POINT HOW

HOW is ``frees``: room is made once the run waits, and it must end; or ``stays``: the disk stays
full, and the run must stop by itself with exit code 75; or ``small``: the disk is too small from
the start. What was seen is printed as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_MEBIBYTES = {"frees": 200, "stays": 200, "small": 60}


def on_small_disk(data: Path, mount_point: Path, how: str) -> list[str]:
    """The command that does it, in a mount namespace of its own."""
    program = [sys.executable, __file__, str(data), str(mount_point), how]
    return ["unshare", "--map-root-user", "--mount", *program]


def can_mount() -> bool:
    """Whether this user may mount in a namespace of their own."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        tried = subprocess.run(
            ["unshare", "--map-root-user", "--mount", *mount], capture_output=True, check=False
        )
    except OSError:
        return False
    return tried.returncode == 0


def fill_up_and_watch(data: Path, disk: Path, how: str) -> dict[str, Any]:
    """Start a run there, fill the disk at its first step, and see what it does."""
    options = ["-t", "tmpfs", "-o", f"size={_MEBIBYTES[how]}m"]
    subprocess.run(["mount", *options, "tmpfs", str(disk)], check=True)
    ballast, kinds, reasons = disk / "ballast", [], []
    run = _start(data, disk, minutes=0.02 if how == "stays" else 10)
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "StepRecorded" and not ballast.exists() and "Paused" not in kinds:
            fill(ballast)
        if event["event"] == "Paused":
            reasons.append(event["reason"])
            if how == "frees":
                ballast.unlink()
        kinds.append(event["event"])
    session = disk / "sessions" / "one"
    kept = [json.loads(line) for line in (session / "events.jsonl").read_bytes().splitlines()[:-1]]
    _, errors = run.communicate()
    return {
        "code": run.returncode,
        "kinds": kinds,
        "reasons": reasons,
        "says": errors,
        "kept": [event["event"] for event in kept],
        "left": sorted(path.name for path in session.glob("**/.*")),
    }


def recipe_keys(data: Path, minutes: float) -> dict[str, object]:
    """A small run that waits so long for room."""
    return {
        "dataset.phantom": "none",
        "dataset.images": data,
        "dataset.findings": '["Cardiomegaly"]',
        "image.size_px": 32,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.optimizer": "sgd",
        "train.momentum": 0,
        "train.precision": "fp32",
        "train.disk_wait_minutes": minutes,
        "train.few_images_first": "never",
        "evaluate.bootstrap": 0,
    }


def _start(data: Path, disk: Path, minutes: float) -> subprocess.Popen[str]:
    keys = recipe_keys(data, minutes)
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "cxr_tui", "--batch", "demo", *sets, "--json"]
    places = ["--sessions", str(disk / "sessions"), "--session", "one", "--cache", str(disk / "c")]
    return subprocess.Popen(
        [*command, *places, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fill(ballast: Path) -> None:
    """Take all the room there is, to the last byte."""
    with ballast.open("wb", buffering=0) as stream:
        for _ in range(100):
            free = shutil.disk_usage(ballast.parent).free
            if free == 0:
                break
            with contextlib.suppress(OSError):  # the run took some of it in the meantime
                os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), free)


if __name__ == "__main__":
    print(json.dumps(fill_up_and_watch(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
