"""Choose the device of a run, and warn if others use it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from core.errors import UsageError
from core.model.precision import cpu_description
from core.nvidia_smi import ask_nvidia_smi

_REQUEST = re.compile(r"auto|cpu|mps|cuda(?::(?P<index>\d+))?")
_BYTES_WORTH_A_WARNING = 1024**3  # more than our own CUDA context takes


@dataclass(frozen=True)
class DeviceChoice:
    """The device of a run.

    Attributes:
        device: the torch device.
        name: for display, such as "NVIDIA A100 (cuda:0)".
        warnings: one sentence each.
    """

    device: torch.device
    name: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """The devices of this machine and this build of torch.

    Attributes:
        cuda_names: one for each visible CUDA device.
        has_mps: whether Apple's GPU is available.
        torch_has_cuda: whether this torch was built for CUDA.
    """

    cuda_names: tuple[str, ...]
    has_mps: bool
    torch_has_cuda: bool

    @property
    def devices(self) -> tuple[str, ...]:
        """The device names that can be requested."""
        cuda = tuple(f"cuda:{index}" for index in range(len(self.cuda_names)))
        return (*cuda, *(("mps",) if self.has_mps else ()), "cpu")


def choose_device(request: str = "auto") -> DeviceChoice:
    """The requested device; "auto" is the CUDA device with most free memory, else MPS, else CPU.

    Raises:
        UsageError: no such device; the message lists the available ones.
    """
    offer = present_offer()
    chosen = pick_device(request, offer, free_bytes=_free_bytes(offer, request))
    if not chosen.startswith("cuda"):
        name = "Apple GPU (mps)" if chosen == "mps" else f"{_cpu_name()} (cpu)"
        return DeviceChoice(torch.device(chosen), name)
    index = int(chosen.partition(":")[2])
    warning = busy_warning(chosen, _bytes_used_by_others(index))
    return DeviceChoice(
        torch.device("cuda", index),
        f"{offer.cuda_names[index]} ({chosen})",
        () if warning is None else (warning,),
    )


def present_offer() -> Offer:
    """The devices available now."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Offer(
        cuda_names=tuple(torch.cuda.get_device_name(index) for index in range(count)),
        has_mps=torch.backends.mps.is_available(),
        torch_has_cuda=torch.version.cuda is not None or torch.version.hip is not None,
    )


def pick_device(request: str, offer: Offer, *, free_bytes: Sequence[int] = ()) -> str:
    """The name of the requested device: "cuda:1", "mps" or "cpu".

    Args:
        request: "auto", "cpu", "cuda", "cuda:1" or "mps".
        offer: the available devices.
        free_bytes: free memory of each CUDA device, if known: "auto" and "cuda" take the one with
            most, the first among equals.

    Raises:
        UsageError: not a device, or not available on this machine.
    """
    match = _REQUEST.fullmatch(request.strip().casefold())
    present = ", ".join(offer.devices)
    if match is None:
        raise UsageError(
            f"unknown device {request!r}",
            where="--device",
            remedy=f"Use auto or one of: {present}",
        )
    asked = match.group()
    if asked.startswith("cuda"):
        if not offer.torch_has_cuda:
            raise UsageError(
                f"{request!r} was requested, but this torch is built for the CPU only",
                where="--device",
                why="No GPU can be used, even if there is one",
                remedy="Install a CUDA build of torch (pytorch.org/get-started), or use --device"
                f" with one of: {present}",
            )
        if not offer.cuda_names or int(match["index"] or 0) >= len(offer.cuda_names):
            raise UsageError(
                f"there is no device {request!r} here",
                where="--device",
                why=_visibility_hint(os.environ.get("CUDA_VISIBLE_DEVICES")),
                remedy=f"Available: {present}",
            )
        if match["index"] is not None:
            return f"cuda:{int(match['index'])}"
    elif asked == "mps" and not offer.has_mps:
        raise UsageError(
            "there is no device 'mps' here", where="--device", remedy=f"Available: {present}"
        )
    elif asked in ("cpu", "mps"):
        return asked
    if offer.cuda_names:  # auto, or cuda without a number
        free = list(free_bytes) or [0]
        return f"cuda:{free.index(max(free))}"
    return "mps" if offer.has_mps else "cpu"


def _visibility_hint(visible: str | None) -> str:
    return "" if visible is None else f"CUDA_VISIBLE_DEVICES is {visible!r}"


def busy_warning(device_name: str, used_by_others_bytes: int | None) -> str | None:
    """A warning if other processes use memory of the device; None if not, or if unknown."""
    if used_by_others_bytes is None or used_by_others_bytes < _BYTES_WORTH_A_WARNING:
        return None
    return (
        f"{device_name} is in use: other processes use {used_by_others_bytes / 1024**3:.1f} GiB of "
        "its memory. Steps may be slow or run out of memory; choose another device with --device."
    )


def _cpu_name() -> str:
    for line in cpu_description().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine() or "CPU"


def _free_bytes(offer: Offer, request: str) -> tuple[int, ...]:
    # The query opens a context on each device, so only if there is a choice.
    if len(offer.cuda_names) < 2 or request not in ("auto", "cuda"):
        return ()
    return tuple(torch.cuda.mem_get_info(index)[0] for index in range(len(offer.cuda_names)))


def _bytes_used_by_others(index: int) -> int | None:
    """Memory on CUDA device ``index`` that other processes use; None if unknown."""
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    if uuid is None:
        return None
    gpu = str(uuid) if str(uuid).startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    used = ask_nvidia_smi("--query-gpu=memory.used", f"--id={gpu}")
    if used is None:
        return None
    pids = ask_nvidia_smi("--query-compute-apps=pid,used_memory", f"--id={gpu}") or ""
    return parse_used_by_others(used, pids, own_pid=os.getpid())


def parse_used_by_others(used_mib: str, apps: str, *, own_pid: int) -> int | None:
    """Bytes used by other processes, from nvidia-smi's output (MiB, no header, no units).

    Args:
        used_mib: ``--query-gpu=memory.used``.
        apps: ``--query-compute-apps=pid,used_memory``, one line for each process.
        own_pid: the process whose memory doesn't count.
    """
    if not used_mib.strip().isdigit():
        return None
    own_mib = 0
    for line in apps.splitlines():
        pid, _, mib = (part.strip() for part in line.partition(","))
        if pid == str(own_pid) and mib.isdigit():
            own_mib += int(mib)
    return max(int(used_mib) - own_mib, 0) * 1024**2


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
