"""A run whose trackers are on full disks, one of them from the middle on; its own disk has room.

    unshare --map-root-user --mount python tests/faults/tracker_disk.py DATA FOLDER CACHE

What was seen is printed as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from small_disk import fill

from core.recipe_toml import load_recipe
from core.store.sessions import create_session

KEYS = {
    "dataset.phantom": "none",
    "dataset.findings": '["Cardiomegaly","Effusion"]',
    "image.size_px": 32,
    "subset.max_images": 40,
    "train.epochs": 3,
    "train.batch_size": 8,
    "train.precision": "fp32",
    "train.few_images_first": "never",
    "evaluate.bootstrap": 0,
}


def on_full_tracker_disk(data: Path, folder: Path, cache: Path) -> list[str]:
    """The command that does it, in a mount namespace of its own."""
    program = [sys.executable, __file__, str(data), str(folder), str(cache)]
    return ["unshare", "--map-root-user", "--mount", *program]


def seen(data: Path, folder: Path, cache: Path) -> dict[str, Any]:
    """Start the run without room for TensorBoard, after an epoch without any for MLflow."""
    keys = KEYS | {"dataset.images": data, "train.trackers": '["tensorboard","mlflow"]'}
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    session = create_session(folder / "sessions", recipe, "one")
    disks = [session.path / "tensorboard", folder / "mlflow"]
    for disk in disks:
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    fill(disks[0] / "ballast")
    command = [sys.executable, "-m", "cxr_tui", "--resume", str(session.path), "--json"]
    run = subprocess.Popen(
        [*command, "--cache", str(cache), "--device", "cpu"],
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{disks[1]}/mlflow.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    events = []
    for line in run.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "EpochDone" and events[-1]["epoch"] == 1:
            fill(disks[1] / "ballast")
    warnings = [one["message"] for one in events if one.get("where") == "train.trackers"]
    return {
        "code": run.wait(),
        "kinds": [one["event"] for one in events],
        "warnings": warnings,
        "scores": (session.predictions / "test.csv").read_text(),
    }


if __name__ == "__main__":
    print(json.dumps(seen(*(Path(argument) for argument in sys.argv[1:4]))))
