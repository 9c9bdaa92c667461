"""Memory of a device: what is left, what to do where it runs out."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

from core.errors import RunFailedError


@contextlib.contextmanager
def memory_errors_named(
    why: str = "What was kept before is whole.",
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
    if not isinstance(error, RuntimeError):
        return False
    text = str(error)
    if any(words in text for words in _SURELY_MEMORY):
        return True
    return any(words in text for words in _MAYBE_MEMORY) and is_host_limited()


_SURELY_MEMORY = ("allocate memory", "out of memory", "bad_alloc")
_MAYBE_MEMORY = ("could not create a", "could not execute a primitive", "can't start new thread")
"""What oneDNN, which computes on a CPU, and threads say; they say it of other causes too."""


def is_host_limited() -> bool:
    """Whether this process can be refused memory: by ``ulimit -v`` or ``-d``, or by the kernel.

    Elsewhere the kernel promises more than there is, and kills whoever takes it.
    """
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    if any(limit != resource.RLIM_INFINITY for limit in limits):
        return True
    try:
        return _OVERCOMMIT.read_text().strip() == _NEVER
    except (OSError, ValueError):  # not Linux
        return False


_OVERCOMMIT, _NEVER = Path("/proc/sys/vm/overcommit_memory"), "2"


def give_back_memory(device: torch.device) -> None:
    """Let go of what is kept for later, after running out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # a C library of its own has no such calls
        library = ctypes.CDLL(None)
        # It keeps what was freed, and pieces half as large may not fit in between. From now on what
        # is large goes back at once, which costs time: only here, where memory is short.
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.malloc_trim(0)


_MMAP_THRESHOLD, _LARGE_BYTES = -3, 2**20
"""glibc's number of that option, and from what size on memory is taken and given back by itself."""


def free_bytes(device: torch.device) -> int | None:
    """Memory that a CUDA device has left, what torch keeps for itself counted; None elsewhere."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)
