"""Rate of training with trackers beside the rate without, in runs that take turns.

    python tests/bench/trackers.py [--pairs 4] [--patients 300] [--size-px 128]

Each run is one epoch of the demo in a process of its own; the rate is that of the steps after the
first ten. At least 0.98 is the target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_WARM_UP_STEPS = 10


def steps_per_second(folder: Path, arguments: argparse.Namespace, trackers: str) -> float:
    """Rate of one new run."""
    name = f"run-{len(list((folder / 'sessions').glob('run-*')))}"
    synthetic = f"{{patients={arguments.patients}, size_px={arguments.size_px}, seed=0}}"
    keys = {
        "dataset.phantom": synthetic,
        "image.size_px": arguments.size_px,
        "train.epochs": 1,
        "train.few_images_first": "never",
        "train.trackers": trackers,
        "evaluate.bootstrap": 0,
    }
    settings = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    places = ["--sessions", folder / "sessions", "--cache", folder / "cache", "--session", name]
    command = [sys.executable, "-m", "cxr_tui", "--batch", "demo", *places, *settings]
    subprocess.run(command, check=True, capture_output=True)
    session = folder / "sessions" / name
    events = [json.loads(line) for line in (session / "events.jsonl").read_text().splitlines()]
    if trackers != "[]":
        assert (session / "tensorboard").is_dir()
        assert not [one for one in events if one.get("where") == "train.trackers"]
    steps = [one for one in events if one["event"] == "StepRecorded"]
    steps = [one for one in steps if one["step"] > _WARM_UP_STEPS]
    seconds = steps[-1]["time"] - steps[0]["time"]
    return float((steps[-1]["step"] - steps[0]["step"]) / seconds)


def main() -> None:
    """Run the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--size-px", type=int, default=128)
    arguments = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        steps_per_second(Path(folder), arguments, "[]")  # draws and decodes the images
        for number in range(arguments.pairs):
            kinds = ["[]", '["tensorboard","mlflow"]']
            order = kinds if number % 2 == 0 else kinds[::-1]
            rates = {kind: steps_per_second(Path(folder), arguments, kind) for kind in order}
            ratios.append(rates[kinds[1]] / rates[kinds[0]])
            told = ", ".join(f"{rates[kind]:.3f}" for kind in kinds)
            print(f"steps a second without, with: {told}; ratio {ratios[-1]:.3f}", flush=True)
    print(f"median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
