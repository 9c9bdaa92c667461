"""Query nvidia-smi, which knows all processes on a GPU and doesn't need torch."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

_SECONDS = 5
_QUERY = "index,uuid,name,memory.free,memory.total,utilization.gpu"
_MIB_PER_GIB = 1024


@dataclass(frozen=True)
class Gpu:
    """One GPU in nvidia-smi's output; ``index`` is torch's number for it."""

    index: int
    name: str
    free_gib: float
    total_gib: float
    busy_percent: int | None = None

    @property
    def words(self) -> str:
        """The GPU's name and free memory for display."""
        name = self.name.removeprefix("NVIDIA ")
        return f"cuda:{self.index} {name}, {self.free_gib:.0f} of {self.total_gib:.0f} GiB free"


def ask_nvidia_smi(query: str, *options: str) -> str | None:
    """The output for a query such as ``--query-gpu=memory.used``: CSV without header and units.

    None if the tool is missing or fails.
    """
    try:
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout


def nvidia_smi() -> str:
    """The output about all GPUs; empty if there is none."""
    return ask_nvidia_smi(f"--query-gpu={_QUERY}") or ""


def visible_gpus(answer: str, visible_devices: str | None) -> list[Gpu]:
    """The GPUs that torch will see, in its order.

    Args:
        answer: of ``nvidia-smi --query-gpu=index,uuid,name,memory.free,memory.total``, in MiB; an
            additional column is utilisation in percent.
        visible_devices: ``CUDA_VISIBLE_DEVICES``: numbers or UUIDs; None: all.
    """
    rows = _visible_rows(answer, visible_devices)
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


def physical_gpus(answer: str, visible_devices: str | None) -> list[str]:
    """The UUIDs of the GPUs that torch will see, in its order; arguments as above."""
    return [row[1] for row in _visible_rows(answer, visible_devices)]


def _visible_rows(answer: str, visible_devices: str | None) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    rows = [row for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[4].isdigit()]
    if visible_devices is None:
        return rows
    wanted = [item.strip() for item in visible_devices.split(",") if item.strip()]
    return [row for item in wanted for row in rows if item == row[0] or row[1].startswith(item)]
