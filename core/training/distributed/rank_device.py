"""The device of a rank."""

from __future__ import annotations

import torch

from core.errors import UsageError
from core.training.distributed.ranks import Launch


def device_for(launch: Launch, asked: str) -> str:
    """The device of this rank: its own GPU, or the CPU.

    Raises:
        UsageError: one device was asked for by number, or there are fewer GPUs than processes.
    """
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cpu":
        return asked
    if asked != "cuda":
        raise UsageError(
            f"{asked!r} can't be the device of {launch.size} processes",
            where="--device",
            remedy="Use --device cuda (each takes the GPU of its LOCAL_RANK), cpu or auto.",
        )
    gpus = torch.cuda.device_count()
    if launch.local_rank >= gpus:
        raise UsageError(
            f"process {launch.local_rank} of this host has no GPU of its own: {gpus} are visible",
            where="--device",
            remedy=f"Use --nproc-per-node={gpus}, or --device cpu.",
        )
    return f"cuda:{launch.local_rank}"
