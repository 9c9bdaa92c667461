"""Memory of a device: what is left, what to do where it runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from core.errors import RunFailedError


@contextlib.contextmanager
def memory_errors_named(
    why: str = "The last checkpoint is good.",
    remedy: str = "Lower train.micro_batch_size (the result stays nearly the same) or "
    "image.size_px.",
) -> Iterator[None]:
    """Out of memory, on whatever device, as an error that says what to do about it.

    Raises:
        RunFailedError: in place of torch's own.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        text = str(error)
        raise RunFailedError(
            f"out of memory ({text.splitlines()[0][:160] if text else 'on the host'})",
            why=why,
            remedy=remedy,
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the host, had not enough memory; torch says so in several ways."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "allocate memory" in text or "out of memory" in text
    )


def give_back_memory(device: torch.device) -> None:
    """Let go of what torch keeps for itself, after running out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_bytes(device: torch.device) -> int | None:
    """Memory that a CUDA device has left, what torch keeps for itself counted; None elsewhere."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)
