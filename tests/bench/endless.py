"""A run's own loop for as many steps as asked, on a network that takes no time: what stays, grows.

    python tests/bench/endless.py --images 2000 --size 32 --batch 8 --steps 10000

prints one JSON object: steps and memory at each tenth of the way.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import torch
from stand_ins import TinyNetwork, cached_part, tiny_recipe

from core.bench.training import train_until_told
from core.data.batches import Part
from core.evaluation.predict import Placement
from core.model.precision import Precision
from core.requests import Request
from core.training.trainer import Trainer

_TENTHS = 10


@dataclass(frozen=True)
class Moment:
    """Where the loop stood, since its first step."""

    steps: int
    seconds: float
    cpu_seconds: float
    resident_bytes: int


def run_steps(
    part: Part, folder: Path, *, size_px: int, batch_size: int, steps: int
) -> list[Moment]:
    """Epochs with their validation, checkpoints and events; moments at each tenth of the steps."""
    recipe = tiny_recipe(size_px=size_px, batch_size=batch_size, epochs=10_000)
    placement = Placement(torch.device("cpu"), Precision("fp32", ""))
    trainer = Trainer(TinyNetwork(size_px=size_px), part, recipe, placement)  # type: ignore[arg-type]
    began, cpu_began = time.perf_counter(), time.process_time()
    moments: list[Moment] = []

    def next_request() -> Request:
        done = trainer.progress.step
        if done * _TENTHS >= steps * (len(moments) + 1) and done:
            moments.append(
                Moment(
                    done,
                    time.perf_counter() - began,
                    time.process_time() - cpu_began,
                    memory_bytes("VmRSS"),
                )
            )
        return Request.ABANDON if done >= steps else Request.CONTINUE

    train_until_told(trainer, part, folder, next_request)
    return moments


def memory_bytes(what: str) -> int:
    """Of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        part = cached_part(Path(folder), given.images, given.size)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of training, not of the drawing
        moments = run_steps(
            part,
            Path(folder) / "sessions",
            size_px=given.size,
            batch_size=given.batch,
            steps=given.steps,
        )
    peak = memory_bytes("VmHWM")
    print(json.dumps({"moments": [asdict(one) for one in moments], "peak_bytes": peak}))


if __name__ == "__main__":
    main()
