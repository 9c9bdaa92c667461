"""A run that is killed again and again, beside one that never was.

    python tests/faults/kill_loop.py --kills 500 [--seed N] [--folder DIR]

Each time the run is killed by SIGKILL at a random moment, in checkpoints too (they are written
every half second), and gone on with. What it had acknowledged (a checkpoint's event on its
stdout) is kept in an oracle file by us; after each start it must go on from there or later, and at
the end its weights must equal, bit for bit, those of the run that was left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import warm_start

_MOST_EVENTS, _MOST_SECONDS = 40, 0.6
_STEPS_A_KILL = 18
"""Steps that a start gets on average before it is killed; the run is made long enough for all."""


@dataclass
class Outcome:
    """What the loop saw."""

    kills: int = 0
    killed_after: dict[str, int] = field(default_factory=dict)
    starts_from_nothing: int = 0
    faults: list[str] = field(default_factory=list)
    same_weights: bool = False


def kill_loop(data: Path, folder: Path, *, kills: int, seed: int) -> Outcome:
    """Kill a run so often, then let it end, and compare it with one that was left alone."""
    draw = random.Random(seed)
    recipe = _recipe(data, folder, kills)
    outcome, oracle = Outcome(), folder / "acknowledged.txt"
    oracle.write_text("0\n")
    while outcome.kills < kills:
        run = _start(recipe, folder, "killed")
        last, ended = _follow(run, draw, oracle, outcome)
        if ended:
            if last != "Finished":
                outcome.faults.append(f"ended by itself after {outcome.kills} kills: {last}")
            break  # it came to its end between two kills: fewer of them, as good a comparison
        outcome.kills += 1
        outcome.killed_after[last] = outcome.killed_after.get(last, 0) + 1
    for name in ("killed", "alone"):
        code = _start(recipe, folder, name, is_read=False).wait()
        if code != 0:
            outcome.faults.append(f"the run {name!r} ended with code {code}")
    if not outcome.faults:
        outcome.same_weights = _weights(folder, "killed") == _weights(folder, "alone")
    return outcome


def _recipe(data: Path, folder: Path, kills: int) -> Path:
    from core.recipe_toml import load_recipe, recipe_toml

    keys = {
        "dataset.phantom": "none",
        "dataset.images": data,
        "image.size_px": 32,
        "train.epochs": max(6, kills * _STEPS_A_KILL // 13),
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.checkpoint_minutes": 0.5 / 60,
        "train.few_images_first": "never",
        "evaluate.bootstrap": 0,
    }
    path = folder / "recipe.toml"
    made = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    path.write_text(recipe_toml(made))
    return path


def _start(
    recipe: Path, folder: Path, name: str, *, is_read: bool = True
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cxr_tui", "--batch", str(recipe), "--session", name]
    places = ["--sessions", str(folder / "sessions"), "--cache", str(folder / "cache")]
    errors = (folder / f"{name}.txt").open("ab")
    to_us = subprocess.PIPE if is_read else subprocess.DEVNULL
    process = warm_start.Popen(
        [*command, *places, "--device", "cpu", "--json"],
        stdout=to_us,
        stderr=errors,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    errors.close()
    return process


def _follow(
    run: subprocess.Popen[bytes], draw: random.Random, oracle: Path, outcome: Outcome
) -> tuple[str, bool]:
    """Read its events up to a random one, wait a random moment, kill; the last event's kind.

    A fast machine takes many steps between two events: so many of them and it is killed too.
    """
    left, steps_left, last = (
        draw.randint(1, _MOST_EVENTS),
        draw.randint(0, _STEPS_A_KILL),
        "nothing",
    )
    first_step = None
    acknowledged = int(oracle.read_text().split()[-1])
    for event in _events(run):
        last = event["event"]
        if last == "Resumed":
            _check_start(event, acknowledged, outcome)
        if last == "CheckpointWritten":
            with oracle.open("a") as stream:
                stream.write(f"{event['step']}\n")
            acknowledged = event["step"]
        left -= 1
        if last == "StepRecorded":
            first_step = event["step"] if first_step is None else first_step
            if event["step"] - first_step >= steps_left:
                break
        if left == 0:
            break
    else:
        run.wait()
        return last, True
    until = time.monotonic() + draw.random() * _MOST_SECONDS
    # What it says meanwhile is acknowledged too.
    os.set_blocking(run.stdout.fileno(), False)  # type: ignore[union-attr]
    rest = b""
    while time.monotonic() < until:
        rest += run.stdout.read() or b""  # type: ignore[union-attr]
    run.send_signal(signal.SIGKILL)
    run.wait()
    rest += run.stdout.read() or b""  # type: ignore[union-attr]
    for line in rest.split(b"\n")[:-1]:
        event = json.loads(line)
        last = event["event"]
        if last == "CheckpointWritten":
            with oracle.open("a") as stream:
                stream.write(f"{event['step']}\n")
    return last, False


def _events(run: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    while line := run.stdout.readline():  # type: ignore[union-attr]
        yield json.loads(line)


def _check_start(event: Mapping[str, Any], acknowledged: int, outcome: Outcome) -> None:
    if event["step"] == 0:
        outcome.starts_from_nothing += 1
    if event["step"] < acknowledged:
        outcome.faults.append(
            f"step {acknowledged} was acknowledged, and it went on from {event['step']}"
        )


def _weights(folder: Path, name: str) -> dict[str, bytes]:
    from core.store.checkpoint import LAST, read_checkpoint

    read = read_checkpoint(folder / "sessions" / name / "checkpoints", LAST)
    tensors = {**read.tensors, **read.training_tensors}
    return {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}


def main() -> int:
    """The loop on a synthetic set made for it."""
    from core.data.phantom import write_phantom

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantom(folder / "set", patients=60, size_px=64, seed=3)
        outcome = kill_loop(folder / "set", folder, kills=given.kills, seed=given.seed)
    print(json.dumps(vars(outcome), indent=1))
    return 1 if outcome.faults or not outcome.same_weights else 0


if __name__ == "__main__":
    sys.exit(main())
