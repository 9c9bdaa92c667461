"""What training costs does not grow with the steps taken, nor memory with the images read."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

from places import BENCH

ENDLESS = BENCH / "endless.py"
MIB = 2**20


def _ran(**given: int) -> dict[str, Any]:
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, str(ENDLESS), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_steps_cost_the_same_early_and_late() -> None:
    found = _ran(images=320, size=32, batch=8, steps=800)
    tenths = found["moments"]
    cpu_seconds = [
        late["cpu_seconds"] - early["cpu_seconds"] for early, late in itertools.pairwise(tenths)
    ]
    # torch's first steps are slow. What grows is slow in each late tenth, a neighbour in some.
    assert min(cpu_seconds[-4:]) < 1.5 * min(cpu_seconds[1:5])
    assert tenths[-1]["resident_bytes"] - tenths[2]["resident_bytes"] < 8 * MIB


def test_memory_does_not_depend_on_how_many_images_there_are() -> None:
    few, many = (
        _ran(images=images, size=224, batch=32, steps=images // 32)["peak_bytes"]
        for images in (256, 1280)
    )
    assert many - few < 24 * MIB  # of 49 MiB more images
