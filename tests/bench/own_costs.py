"""What has a limit of its own: ingest, an audit, intervals, memory, ten thousand steps."""

from __future__ import annotations

import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.bench.blocks import Blocks
from core.bench.decoding import Decoding, measure_decoding
from core.bench.rounds import Rounds
from core.data.cache.cache_rows import pixels_checksum
from core.data.images.image_files import find_images
from core.data.phantom.writing import LABELS_HEADER

ROWS = 112_120
_TEST_IMAGES, _TEST_PATIENTS, _FINDINGS = 25_596, 2_797, 14
_MIB = 2**20
_ROOT = Path(__file__).parents[2]
_TURNS = 5
_COPIES = 4

_INTERVALS = f"""
import json, re, time
import numpy as np
from core.evaluation.intervals import patient_bootstrap
rng = np.random.default_rng(0)
labels_NF = (rng.random(({_TEST_IMAGES}, {_FINDINGS})) < np.geomspace(0.003, 0.2, {_FINDINGS}))
scores_NF = rng.random(labels_NF.shape)
patients_N = rng.integers(0, {_TEST_PATIENTS}, len(labels_NF))
seconds = []
for _ in range({_TURNS}):
    began = time.perf_counter()
    patient_bootstrap(labels_NF.astype(np.float32), scores_NF, patients_N, draws=5000)
    seconds.append(time.perf_counter() - began)
status = open("/proc/self/status").read()
print(json.dumps([seconds, 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])]))
"""


def ingest(images: Path, folder: Path, size_px: int) -> Decoding:
    """Bare decoding and a run's ingest of the images in a folder, in turns."""
    names = [path.name for path in sorted(images.rglob("*.png"))]
    found = find_images(images, names).files.values()
    # Each several times under other names: an ingest of seconds, as a real one takes minutes.
    copies = [
        replace(file, name=f"{turn}-{file.name}") for turn in range(_COPIES) for file in found
    ]
    return measure_decoding(
        copies,
        {file.name: file for file in copies},
        folder,
        size_px=size_px,
        resize="squash",
        block_seconds=3.0,
        rounds=Rounds("decoding", 3, lambda *_: None),
    )


def checksum_seconds(size_px: int, images: int = 4_000) -> float:
    """For one image of a cache, whose bytes are in memory and not in the processor's caches."""
    pixels_NSS = np.random.default_rng(0).integers(0, 256, (images, size_px, size_px), np.uint8)
    each = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        for pixels_SS in pixels_NSS:
            pixels_checksum(pixels_SS)
        each.append((time.perf_counter() - began) / images)
    return statistics.median(each)


def audit_seconds(folder: Path) -> Blocks:
    """The whole process of an audit of the real label table, or of one as long."""
    nih = os.environ.get("CXR_NIH_DIR")
    table = Path(nih) / "Data_Entry_2017_v2020.csv" if nih else _long_table(folder)
    command = [sys.executable, "-m", "cxr_tui", "audit", "nih-14", "--labels-only"]
    command += ["--set", f"dataset.labels={table.absolute()}"]
    return Blocks(tuple(_seconds(command) for _ in range(_TURNS)))


def intervals() -> tuple[Blocks, int]:
    """Seconds of 5,000 draws of patients, and bytes at the peak of a process that does no more."""
    seconds, peak_bytes = json.loads(_output([sys.executable, "-c", _INTERVALS]))
    return Blocks(tuple(seconds)), int(peak_bytes)


@dataclass(frozen=True)
class Growth:
    """Peak memory of training on few and on many images."""

    few: int
    many: int
    few_bytes: int
    many_bytes: int


def memory_by_images(few: int = 1_000, many: int = 8_000, size_px: int = 224) -> Growth:
    """Each trained on once."""
    peaks = [
        int(_endless(images=images, size=size_px, batch=16, steps=images // 16)["peak_bytes"])
        for images in (few, many)
    ]
    return Growth(few, many, *peaks)


@dataclass(frozen=True)
class Drift:
    """Of a long run: the rate of its last fifth over that of its second, and memory gained."""

    steps: int
    rates: Blocks
    rate_ratio: float
    gained_bytes: int
    gained_late_bytes: int
    """In the second half."""


def drift(steps: int = 10_000) -> Drift:
    """The whole loop on a network that takes no time: epochs, validation, checkpoints, events."""
    moments = _endless(images=2_000, size=32, batch=8, steps=steps)["moments"]
    rates = [
        (late["steps"] - early["steps"]) / (late["seconds"] - early["seconds"])
        for early, late in itertools.pairwise(moments)
    ]
    resident = [moment["resident_bytes"] for moment in moments]
    return Drift(
        steps=steps,
        rates=Blocks(tuple(rates)),
        rate_ratio=statistics.median(rates[-3:]) / statistics.median(rates[:3]),
        gained_bytes=resident[-1] - resident[0],
        gained_late_bytes=resident[-1] - resident[len(resident) // 2],
    )


def _endless(**given: int) -> dict[str, Any]:
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    script = Path(__file__).with_name("endless.py")
    found: dict[str, Any] = json.loads(_output([sys.executable, str(script), *words]))
    return found


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    _output(command)
    return time.perf_counter() - began


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
    )
    return done.stdout


def _long_table(folder: Path) -> Path:
    """A label table as long as NIH's, in its format."""
    path = folder / "Data_Entry_2017_v2020.csv"
    with path.open("w", newline="") as stream:
        stream.write(LABELS_HEADER + "\n")
        csv.writer(stream).writerows(_long_rows())
    return path


def _long_rows() -> Iterator[list[object]]:
    rng = np.random.default_rng(0)
    labels = ["No Finding", "Effusion", "Mass|Nodule", "Hernia", "Atelectasis|Edema"]
    drawn = rng.choice(len(labels), ROWS, p=[0.54, 0.2, 0.15, 0.01, 0.1])
    for number, label in enumerate(drawn.tolist()):
        patient, visit = divmod(number, 4)
        name = f"{patient:08d}_{visit:03d}.png"
        view = "PA" if label % 2 else "AP"
        yield [name, labels[label], visit, patient, 40, "M", view, 1024, 1024, 0.14, 0.14]
