"""Speed beside its targets, as a table: the plain script beside our loop, and what has limits.

    python tests/bench/ratios.py [--only bf16 fp32 ingest dicom audit intervals memory drift]

About twelve minutes on two cores. Images are those under CXR_NIH_DIR where it is set, else
synthetic ones of 1024 px. Whatever is compared runs in blocks that take turns: a line has the
median of them and, in brackets, the lowest and highest.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import own_costs
import torch
from dicom_costs import dicom_costs
from side_by_side import SideBySide, compare, usable_workers

from core.bench.blocks import Blocks
from core.data.phantom import write_phantom
from core.model.device import choose_device

_SIZE_PX = 224
_SYNTHETIC_PATIENTS = 60
_MIB = 2**20


@dataclass(frozen=True)
class Line:
    """One row: a target beside what was measured."""

    what: str
    target: float
    measured: Blocks
    at_least: bool = True
    unit: str = ""
    aim: float | None = None

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        target = f"{sign} {self.target:g}{self.unit}" + (f" (aim {self.aim:g})" if self.aim else "")
        spread = f"{self.measured.median:.3g}{self.unit}"
        if len(self.measured.values) > 1:
            spread += f" ({self.measured.low:.3g} to {self.measured.high:.3g})"
        return f"| {self.what} | {target} | {spread} | {self.verdict} |"

    @property
    def verdict(self) -> str:
        """Met, or by how much it was missed."""
        value = self.measured.median
        if value >= self.target if self.at_least else value <= self.target:
            return "met"
        return f"**missed by {100 * abs(value / self.target - 1):.0f} %**"


@dataclass(frozen=True)
class Place:
    """What the measurements share."""

    images: Path
    folder: Path
    device: str
    rounds: int
    steps: int
    workers: int
    batch_size: int
    step: str


def in_bf16(place: Place) -> Iterator[Line]:
    """The loop beside the plain script and beside its own ceiling."""
    found = _compared(place, "bf16")
    _say(f"bf16: images/s {_rates(found)}")
    yield Line(
        "whole loop over the plain script, bf16",
        2.0,
        found.ours.over(found.yardstick),
        unit=" ×",
        aim=2.5,
    )
    yield Line("whole loop over its ceiling, bf16", 0.95, found.ours.over(found.step))
    yield Line(
        "second epoch's time for data", 2.0, found.data_share.times(100), at_least=False, unit=" %"
    )
    yield Line("validation over training", 2.5, found.validation.over(found.ours), unit=" ×")
    seconds = own_costs.checksum_seconds(_SIZE_PX)
    _say(f"checksum of an image of {_SIZE_PX} px: {1e6 * seconds:.1f} µs")
    share = found.ours.times(100 * seconds)
    yield Line("checksum of the rows over an epoch's time", 2.0, share, at_least=False, unit=" %")


def in_fp32(place: Place) -> Iterator[Line]:
    """The same without bf16, as on a processor that lacks it."""
    found = _compared(place, "fp32")
    _say(f"fp32: images/s {_rates(found)}")
    yield Line(
        "whole loop over the plain script, fp32", 1.2, found.ours.over(found.yardstick), unit=" ×"
    )
    yield Line("whole loop over its ceiling, fp32", 0.95, found.ours.over(found.step))


def of_ingest(place: Place) -> Iterator[Line]:
    """Against as many cores that would do nothing but decode."""
    found = own_costs.ingest(place.images, place.folder / "decoding", _SIZE_PX)
    _say(
        f"images/s: decoding {found.one_core.median:.1f} on one core, {found.all_cores.median:.1f} "
        f"on {found.cores}, ingest {found.ingest.median:.1f}, of {found.images} images a block"
    )
    yield Line("ingest over cores × one core's bare decoding", 0.9, found.ingest_to_cores)


def of_dicom(place: Place) -> Iterator[Line]:
    """Against as many cores that would each run the loop that people write with pydicom."""
    found = dicom_costs(place.folder, _SIZE_PX)
    _say(
        f"DICOM images/s: pydicom {found.bare.median:.1f} on one core, windowed in NumPy "
        f"{found.plain.median:.1f}, ours {found.grey.median:.1f}; ingest "
        f"{found.ingest.median:.1f} on {found.cores}"
    )
    yield Line("DICOM ingest over cores × pydicom's loop", 0.95, found.ingest_to_cores, unit=" ×")
    yield Line(
        "DICOM to grey over pydicom's pixels windowed in NumPy, one core",
        0.95,
        found.grey.over(found.plain),
        unit=" ×",
    )


def of_audit(place: Place) -> Iterator[Line]:
    """The process as a user starts it."""
    seconds = own_costs.audit_seconds(place.folder)
    yield Line(f"audit --labels-only, {own_costs.ROWS:,} rows", 1.5, seconds, False, " s")


def of_intervals(_place: Place) -> Iterator[Line]:
    """Seconds and memory."""
    seconds, peak_bytes = own_costs.intervals()
    what = "5,000 draws of patients, 25,596 × 14"
    yield Line(what, 3.0, seconds, False, " s")
    yield Line(f"{what}, whole process", 300, Blocks((peak_bytes / _MIB,)), False, " MiB")


def of_memory(_place: Place) -> Iterator[Line]:
    """Whether more images take more memory."""
    found = own_costs.memory_by_images()
    _say(
        f"peak memory: {found.few_bytes / _MIB:.0f} MiB on {found.few:,} images of {_SIZE_PX} px, "
        f"{found.many_bytes / _MIB:.0f} MiB on {found.many:,}"
    )
    ratio = Blocks((found.many_bytes / found.few_bytes,))
    yield Line(f"peak memory, {found.many:,} images over {found.few:,}", 1.05, ratio, False)


def of_drift(_place: Place) -> Iterator[Line]:
    """Ten thousand steps."""
    found = own_costs.drift()
    _say(
        f"{found.steps:,} steps of a tiny network: {found.rates.median:.0f} steps/s "
        f"({found.rates.low:.0f} to {found.rates.high:.0f})"
    )
    yield Line(
        f"steps/s at the end of {found.steps:,} over the start", 0.95, Blocks((found.rate_ratio,))
    )
    yield Line(
        f"memory gained over {found.steps:,} steps",
        16,
        Blocks((found.gained_bytes / _MIB,)),
        False,
        " MiB",
    )


_GROUPS: dict[str, Callable[[Place], Iterator[Line]]] = {
    "bf16": in_bf16,
    "fp32": in_fp32,
    "ingest": of_ingest,
    "dicom": of_dicom,
    "audit": of_audit,
    "intervals": of_intervals,
    "memory": of_memory,
    "drift": of_drift,
}


def main() -> None:
    """Measure and print; each line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=_GROUPS, default=list(_GROUPS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="of a block")
    parser.add_argument("--workers", type=int, default=usable_workers(), help="of the plain script")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--step", default="auto", help="of ours: auto, eager, graph, compiled")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(
            _images(Path(folder)),
            Path(folder),
            given.device,
            given.rounds,
            given.steps,
            given.workers,
            given.batch_size,
            given.step,
        )
        name = choose_device(given.device).name
        _say(f"{name}, {usable_workers()} cores, torch {torch.__version__}")
        print("| what | target | measured | |\n|---|---|---|---|", flush=True)
        for group in given.only:
            for line in _GROUPS[group](place):
                print(line, flush=True)


def _compared(place: Place, precision: str) -> SideBySide:
    return compare(
        place.images,
        place.folder,
        precision=precision,
        rounds=place.rounds,
        steps=place.steps,
        device=place.device,
        workers=place.workers,
        batch_size=place.batch_size,
        step=place.step,
    )


def _rates(found: SideBySide) -> str:
    return (
        f"{found.ours.median:.2f} whole loop, {found.step.median:.2f} bare step, "
        f"{found.validation.median:.2f} validation, {found.yardstick.median:.2f} plain script"
    )


def _images(folder: Path) -> Path:
    nih = os.environ.get("CXR_NIH_DIR")
    if nih:
        return Path(nih)
    _say("drawing synthetic images of 1024 px")
    write_phantom(folder / "set", patients=_SYNTHETIC_PATIENTS, size_px=1024, seed=0)
    return folder / "set"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
