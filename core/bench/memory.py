"""Peak memory of this process since some moment."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # Linux, proc(5)


class PeakMemory:
    """Peak memory since creation if the system can reset the peak, else since the process
    started."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with contextlib.suppress(OSError):
            _CLEAR.write_text(_RESET_PEAK)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def host_bytes(self) -> int:
        """Peak host memory in bytes, including memory shared with other processes."""
        with contextlib.suppress(OSError):
            peak = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
            if peak:
                return 1024 * int(peak[1])
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most

    def device_bytes(self) -> int | None:
        """Peak memory of a CUDA device in bytes; None on other devices."""
        if self._device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_reserved(self._device))
