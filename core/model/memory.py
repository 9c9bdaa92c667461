"""Device memory: what is free, and what to do when it runs out."""

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
    why: str = "What was saved before is intact.",
    remedy: str = "Lower train.micro_batch_size (the result stays nearly the same) or "
    "image.size_px.",
) -> Iterator[None]:
    """Turn out-of-memory errors of any device into an error with a remedy.

    Raises:
        RunFailedError: instead of torch's error.
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
    """Whether an error means that a device or the host ran out of memory; torch has several such
    errors."""
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
"""Messages of oneDNN (CPU) and of threads, which can have other causes as well."""


def is_host_limited() -> bool:
    """Whether allocation can fail for this process: by ``ulimit -v`` or ``-d``, or by the kernel.

    Otherwise the kernel overcommits, and kills a process that uses too much.
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
    """Release cached memory after running out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # another C library lacks these calls
        library = ctypes.CDLL(None)
        # glibc keeps freed memory, which gets fragmented. From now on large blocks are returned
        # immediately, which is slower: so only once memory is short.
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.malloc_trim(0)


_MMAP_THRESHOLD, _LARGE_BYTES = -3, 2**20
"""glibc's number of that option, and the size above which a block is mapped and unmapped
separately."""


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a CUDA device, including what torch caches; None on other devices."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)
