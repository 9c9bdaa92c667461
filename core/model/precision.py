"""Precision and memory layout of a device."""

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
    """The precision of a run.

    Attributes:
        name: "fp32" or "bf16" (bf16 autocast over float32 master weights).
        reason: why it was chosen, one sentence.
        warnings: one sentence each.
    """

    name: str
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def is_bf16(self) -> bool:
        """Whether convolutions run in bf16."""
        return self.name == "bf16"


def choose_precision(request: str, device: torch.device) -> Precision:
    """ "auto" is bf16 autocast on devices that are fast with it, else fp32.

    Those are CUDA devices with native bf16 (Ampere or newer) and CPUs with bf16 instructions. bf16
    on other devices is granted with a warning.

    Raises:
        UsageError: not a precision.
    """
    if request not in ("auto", "fp32", "bf16"):
        raise UsageError(
            f"unknown precision {request!r}",
            where="train.precision",
            remedy="Use auto, fp32 or bf16",
        )
    return pick_precision(request, device.type, does_bf16_well=does_bf16_well(device))


def pick_precision(request: str, device_type: str, *, does_bf16_well: bool) -> Precision:
    """:func:`choose_precision` from plain values."""
    if request == "fp32":
        return Precision("fp32", "fp32 was requested")
    if does_bf16_well:
        return Precision("bf16", f"this {device_type} device has native bf16")
    if request == "auto":
        return Precision("fp32", f"this {device_type} device has no fast bf16")
    return Precision(
        "bf16",
        "bf16 was requested",
        (f"This {device_type} device only emulates bf16: expect it to be slower than fp32.",),
    )


def does_bf16_well(device: torch.device) -> bool:
    """Whether the device has native bf16 instructions."""
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
    """Linux's /proc/cpuinfo; empty on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not Linux


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
    """On CUDA, disable TF32 in convolutions and cuDNN's benchmark mode."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield
