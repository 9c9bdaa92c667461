"""Rate of training with trackers beside the rate without, in runs that take turns.

    python tests/bench/trackers.py [--pairs 4] [--patients 300] [--size-px 128] [--epochs 4]

Each run is the demo in a process of its own, with one thread; what is measured are the epochs after
the first, in which the trackers' libraries are imported. Steps a second, and steps per second of
processor time, which others on the machine change less: the trackers' own thread counts in full.
At least 0.98 is the target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def rates(folder: Path, arguments: argparse.Namespace, trackers: str) -> tuple[float, float]:
    """Steps a second of one new run, and steps per second of processor time."""
    name = f"run-{len(list((folder / 'sessions').glob('run-*')))}"
    synthetic = f"{{patients={arguments.patients}, size_px={arguments.size_px}, seed=0}}"
    keys = {
        "dataset.phantom": synthetic,
        "image.size_px": arguments.size_px,
        "train.epochs": arguments.epochs,
        "train.few_images_first": "never",
        "train.trackers": trackers,
        "evaluate.bootstrap": 0,
    }
    settings = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    places = ["--sessions", folder / "sessions", "--cache", folder / "cache", "--session", name]
    command = [sys.executable, "-m", "cxr_tui", "--batch", "demo", *map(str, places), *settings]
    session = folder / "sessions" / name
    with (folder / "out.txt").open("w") as out:
        run = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        first = _at_epoch(run, session, 1)
        last = _at_epoch(run, session, arguments.epochs)
        assert run.wait() == 0, (folder / "out.txt").read_text()[-2000:]
    if trackers != "[]":
        assert (session / "tensorboard").is_dir()
        assert not [one for one in _events(session) if one.get("where") == "train.trackers"]
    steps = last["step"] - first["step"]
    return steps / (last["time"] - first["time"]), steps / (last["processor"] - first["processor"])


def _at_epoch(run: subprocess.Popen[bytes], session: Path, epoch: int) -> dict[str, float]:
    """Step, time and the process's processor time when an epoch has ended."""
    while True:
        for event in _events(session):
            if event["event"] == "EpochDone" and event["epoch"] == epoch:
                numbers = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()
                seconds = (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
                return {"step": event["step"], "time": event["time"], "processor": seconds}
        assert run.poll() is None, "it ended before its last epoch"
        time.sleep(0.05)


def _events(session: Path) -> Iterator[dict[str, Any]]:
    file = session / "events.jsonl"
    for line in file.read_text().splitlines(keepends=True) if file.exists() else ():
        if line.endswith("\n"):
            yield json.loads(line)


def main() -> None:
    """Run the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--size-px", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    walls, processors = [], []
    with tempfile.TemporaryDirectory() as folder:
        rates(Path(folder), arguments, "[]")  # draws and decodes the images
        for number in range(arguments.pairs):
            kinds = ["[]", '["tensorboard","mlflow"]']
            order = kinds if number % 2 == 0 else kinds[::-1]
            found = {kind: rates(Path(folder), arguments, kind) for kind in order}
            (wall, processor), (wall_with, processor_with) = (found[kind] for kind in kinds)
            walls.append(wall_with / wall)
            processors.append(processor_with / processor)
            print(
                f"steps a second: {wall:.3f}, with trackers {wall_with:.3f}: {walls[-1]:.3f}; "
                f"of processor time {processors[-1]:.3f}",
                flush=True,
            )
    for what, ratios in (("wall clock", walls), ("processor time", processors)):
        print(
            f"{what}: median {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
