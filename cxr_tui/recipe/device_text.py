"""Where a run would compute, in words, as far as it can be told before torch is loaded."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass

from core.nvidia_smi import ask_nvidia_smi

_QUERY = "index,uuid,name,memory.free,memory.total,utilization.gpu"
_MIB_PER_GIB = 1024


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi's answer; ``index`` is the number that torch will give it."""

    index: int
    name: str
    free_gib: float
    total_gib: float
    busy_percent: int | None = None

    @property
    def words(self) -> str:
        """For a person."""
        name = self.name.removeprefix("NVIDIA ")
        return f"cuda:{self.index} {name}, {self.free_gib:.0f} of {self.total_gib:.0f} GiB free"


def device_words(request: str) -> str:
    """What a run asked for with ``--device`` would use, such as ``cpu, 2 cores``."""
    asked = request.strip().casefold()
    cpu = f"cpu, {_num_cores()} cores"
    if asked == "cpu":
        return cpu
    if asked == "mps" or (asked == "auto" and _is_apple_silicon()):
        return "Apple GPU (mps)"
    gpus = [] if _torch_is_for_cpu() else visible_gpus(nvidia_smi(), _visible_devices())
    if not gpus:
        return cpu if asked == "auto" else asked
    if asked.startswith("cuda:"):
        return next((gpu.words for gpu in gpus if f"cuda:{gpu.index}" == asked), asked)
    return max(gpus, key=lambda gpu: gpu.free_gib).words


def visible_gpus(answer: str, visible_devices: str | None) -> list[Gpu]:
    """The GPUs that torch will see, in its order.

    Args:
        answer: of ``nvidia-smi --query-gpu=index,uuid,name,memory.free,memory.total``, in MiB;
            a column more is its use in percent.
        visible_devices: ``CUDA_VISIBLE_DEVICES``: numbers or UUIDs; None: all.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    rows = [row for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[4].isdigit()]
    if visible_devices is not None:
        wanted = [item.strip() for item in visible_devices.split(",") if item.strip()]
        rows = [row for item in wanted for row in rows if item == row[0] or row[1].startswith(item)]
    return [
        Gpu(
            index,
            name,
            int(free) / _MIB_PER_GIB,
            int(total) / _MIB_PER_GIB,
            int(use[0]) if use and use[0].isdigit() else None,
        )
        for index, (_, _, name, free, total, *use) in enumerate(rows)
    ]


def _visible_devices() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_apple_silicon() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def _torch_is_for_cpu() -> bool:
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return True


def nvidia_smi() -> str:
    """Its answer about every GPU; empty where it has none to give."""
    return ask_nvidia_smi(f"--query-gpu={_QUERY}") or ""
