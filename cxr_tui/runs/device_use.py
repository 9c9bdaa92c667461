"""A running session's use of its device, in a few words; empty if unknown.

Reads ``/proc`` and calls nvidia-smi, which may take a second: call it on a thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SessionError
from core.nvidia_smi import Gpu, nvidia_smi, visible_gpus
from core.store.sessions import list_sessions

_BYTES_PER_GIB = 2**30
_PROC = Path("/proc")


@dataclass(frozen=True)
class CpuTime:
    """Processor seconds of a process up to a moment, and its resident bytes then."""

    pid: int
    moment: float
    cpu_seconds: float
    resident_bytes: int

    def words(self, before: CpuTime | None) -> str:
        """Such as ``cpu 1.9 cores, 1.4 GiB``; without an earlier measurement only the memory."""
        memory = f"{self.resident_bytes / _BYTES_PER_GIB:.1f} GiB"
        if before is None or before.pid != self.pid or self.moment - before.moment < 0.2:
            return f"cpu, {memory}"
        cores = (self.cpu_seconds - before.cpu_seconds) / (self.moment - before.moment)
        return f"cpu {max(0.0, cores):.1f} cores, {memory}"


def cpu_time(pid: int) -> CpuTime | None:
    """The kernel's figures for a process; None if there are none (another system, gone)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        # The name, in parentheses, may itself contain spaces and parentheses.
        fields = text[text.rindex(")") + 2 :].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int(fields[21])
    except (OSError, ValueError, IndexError):
        return None
    return CpuTime(
        pid,
        time.monotonic(),
        ticks / os.sysconf("SC_CLK_TCK"),
        pages * os.sysconf("SC_PAGE_SIZE"),
    )


def runs_beside(sessions: Path, device: str) -> list[str]:
    """Sessions of this folder that other processes run on this machine, each with its device.

    Args:
        sessions: the folder.
        device: as on the command line; auto may be any.
    """
    found = []
    for session in list_sessions(sessions):
        if not session.is_being_written():
            continue
        environment: dict[str, Any] = {}
        with contextlib.suppress(SessionError):  # damaged: its own screen reports it
            environment = session.read_json("environment.json") or {}
        where = str(environment.get("device", "?"))
        is_there = device == "auto" or where.startswith(device) or device.startswith(where)
        if environment.get("host") == socket.gethostname() and is_there:
            found.append(f"{session.name} on {where}")
    return found


def gpu_words(device: str, pid: int) -> str:
    """The run's GPU, as numbered in the process with that id; empty if unknown."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:  # gone, or somebody else's
        return ""
    visible = None
    for entry in environment.split(b"\0"):
        if entry.startswith(b"CUDA_VISIBLE_DEVICES="):
            visible = entry.partition(b"=")[2].decode(errors="replace")
    return words_of_gpu(device, visible_gpus(nvidia_smi(), visible))


def words_of_gpu(device: str, gpus: list[Gpu]) -> str:
    """Such as ``cuda:0 H100 97 %, 38 of 80 GiB``; memory includes other processes'."""
    number = device.partition(":")[2] or "0"
    gpu = next((gpu for gpu in gpus if str(gpu.index) == number), None)
    if gpu is None:
        return ""
    name = gpu.name.removeprefix("NVIDIA ").partition(" ")[0]
    busy = "" if gpu.busy_percent is None else f" {gpu.busy_percent} %"
    used = gpu.total_gib - gpu.free_gib
    return f"cuda:{gpu.index} {name}{busy}, {used:.0f} of {gpu.total_gib:.0f} GiB"
