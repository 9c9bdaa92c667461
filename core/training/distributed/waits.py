"""Wait for an exchange a slice at a time, so that signals are handled and lost ranks detected."""

from __future__ import annotations

import time
from datetime import timedelta

import torch.distributed as dist

SLICE = timedelta(seconds=1)
_DEVICE_POLL_SECONDS = 0.0002


def waited(work: dist.Work) -> bool:
    """Wait for at most a slice; returns whether it is done."""
    try:
        work.wait(SLICE)
    except RuntimeError as error:
        if "Operation timed out" not in str(error):
            raise
        if not work.is_completed():
            return False
        # It ended between the slice and this check; waiting again raises if it failed.
        work.wait(SLICE)
    return True


def polled(work: dist.Work) -> bool:
    """The same on a device: its stream must not wait before the end is certain.

    A kernel that waits for a lost rank would block reading the weights for a checkpoint forever.
    """
    until = time.monotonic() + SLICE.total_seconds()
    while not work.is_completed():
        if time.monotonic() > until:
            return False
        time.sleep(_DEVICE_POLL_SECONDS)
    work.wait()
    return True
