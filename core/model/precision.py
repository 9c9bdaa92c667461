"""Precision and memory layout: what a device computes in, and does well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from core.errors import UsageError

_CPU_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, ARM


@dataclass(frozen=True)
class Precision:
    """How a run computes.

    Attributes:
        name: "fp32" or "bf16" (bf16 autocast over float32 master weights).
        reason: why, one sentence.
        warnings: what to know before starting.
    """

    name: str
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def is_bf16(self) -> bool:
        """Whether convolutions run in bf16."""
        return self.name == "bf16"


def choose_precision(request: str, device: torch.device) -> Precision:
    """ "auto" is bf16 autocast where the device does it well, else fp32.

    Well means: CUDA with bf16 of its own (Ampere or newer), or a CPU with bf16
    instructions. A request for bf16 elsewhere is granted with a warning.

    Raises:
        UsageError: not a precision.
    """
    if request not in ("auto", "fp32", "bf16"):
        raise UsageError(
            f"unknown precision {request!r}",
            where="train.precision",
            remedy="It can be auto, fp32 or bf16",
        )
    return pick_precision(request, device.type, does_bf16_well=does_bf16_well(device))


def pick_precision(request: str, device_type: str, *, does_bf16_well: bool) -> Precision:
    """:func:`choose_precision` on plain facts."""
    if request == "fp32":
        return Precision("fp32", "fp32 was asked for")
    if does_bf16_well:
        return Precision("bf16", f"this {device_type} device computes in bf16 itself")
    if request == "auto":
        return Precision("fp32", f"this {device_type} device has no fast bf16")
    return Precision(
        "bf16",
        "bf16 was asked for",
        (f"This {device_type} device only emulates bf16: expect it to be slower than fp32.",),
    )


def does_bf16_well(device: torch.device) -> bool:
    """Whether the device has bf16 instructions of its own."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return major >= 8
    if device.type == "cpu":
        return cpu_has_bf16(cpu_description())
    return False


def cpu_has_bf16(description: str) -> bool:
    """Whether a CPU's flags, as Linux's /proc/cpuinfo lists them, name bf16 instructions."""
    for line in description.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return not _CPU_BF16_FLAGS.isdisjoint(flags.split())
    return False


def cpu_description() -> str:
    """What Linux says of the processors; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not Linux: nothing is known, so nothing is claimed


def use_channels_last(device: torch.device) -> bool:
    """Whether convolutions are faster with channels last: on CPU and CUDA they are."""
    return device.type in ("cpu", "cuda")


def autocast(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """The context of a forward pass in this precision."""
    if not precision.is_bf16:
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=torch.bfloat16)


@contextlib.contextmanager
def without_shortcuts(device: torch.device) -> Iterator[None]:
    """On CUDA convolutions in fp32 itself, not in TF32, and no search for the fastest of them."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield
