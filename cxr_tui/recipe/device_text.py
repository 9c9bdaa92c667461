"""The device of a run in words, as far as it is known before torch is loaded."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from core.nvidia_smi import nvidia_smi, visible_gpus


def device_words(request: str) -> str:
    """The device that ``--device`` would select, such as ``cpu, 2 cores``."""
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
