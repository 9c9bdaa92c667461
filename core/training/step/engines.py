"""A step before its update, compiled or captured into a graph, for batches of one size.

A GPU executes the network's thousands of small operations faster than the host can launch them. A
graph launches all of them at once; a compiler makes fewer and larger ones. Both need the same
shapes each time, so the last batch of an epoch and batches in pieces take the eager step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from core.data.batches import Batch
from core.training.step.backward import Backward, Outcome

BACKEND = "inductor"

ENGINE_ERRORS = (RuntimeError, MemoryError, OSError)
"""What compilers and captures raise when they fail.

torch passes on whatever its compiler meets (a missing C compiler, its own bugs) as a RuntimeError:
``InductorError``, ``BackendCompilerFailed``; CUDA's errors are RuntimeErrors too. A full disk under
the compiler's cache is an OSError. Anything else is our own bug and ends the run.
"""

_WARM_UPS = 3
"""Runs before a capture, in which kernels are chosen and memory is allocated (torch's own
advice)."""

Returned = TypeVar("Returned")

Work = Outcome | Tensor
"""See ``Backward.work``."""

Capture = Callable[[Callable[[], Work]], tuple[Work, Callable[[], None]]]
"""Captures a function into a graph; returns its result, and a call that recomputes it in place."""


class Engine(Protocol):
    """Does what ``Backward.work`` does, for batches like the one it was made with."""

    kind: str

    def takes(self, batch: Batch, size: int) -> bool:
        """Whether the engine was made for this batch in micro-batches of ``size``."""

    def __call__(self, batch: Batch) -> Work:
        """Gradients are in ``.grad`` afterwards; doesn't wait for the device."""


class Compiled:
    """The network and its loss, compiled by torch."""

    def __init__(self, backward: Backward, batch: Batch, backend: str = BACKEND) -> None:
        self.kind = "compiled"
        self.backward = backward.compiled(backend)
        self._shapes = _shapes(batch)

    def takes(self, batch: Batch, size: int) -> bool:
        """Batches of the same shapes, in one piece."""
        return _shapes(batch) == self._shapes and size >= len(batch)

    def __call__(self, batch: Batch) -> Work:
        """The first call compiles."""
        return self.backward.work(batch)


class Graphed:
    """A step that was recorded once: a batch is copied into its input, then it is replayed."""

    def __init__(self, backward: Backward, batch: Batch, capture: Capture, kind: str) -> None:
        self.kind = kind
        device = backward.placement.device
        self._place = _copy_on(device, batch)
        self._parameters = backward.parameters
        self._outcome, self._replay = capture(lambda: backward.work(self._place))
        # The graph writes into these; an eager step in between has replaced them.
        self._gradients = [parameter.grad for parameter in self._parameters]

    def takes(self, batch: Batch, size: int) -> bool:
        """Batches of the same shapes, in one piece."""
        return _shapes(batch) == _shapes(self._place) and size >= len(batch)

    def __call__(self, batch: Batch) -> Work:
        """The result is overwritten by the next call."""
        place = self._place
        for kept, new in zip(_tensors(place), _tensors(batch), strict=True):
            kept.copy_(new, non_blocking=True)
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self._replay()
        return self._outcome


def capture_on_cuda(device: torch.device) -> Capture:
    """Capture into a CUDA graph."""
    return partial(captured, device)


def captured(
    device: torch.device, function: Callable[[], Returned]
) -> tuple[Returned, Callable[[], None]]:
    """A function in a CUDA graph: its result, and a call that recomputes it in place."""
    with torch.cuda.device(device):
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads (the viewer, the batch reader) may use the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            returned = function()
    return returned, graph.replay


def in_a_line(error: BaseException) -> str:
    """An error's message, shortened; its type if it has none."""
    # The compiler's first line may say only that something was raised.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()][:2]
    return " ".join(lines)[:300] or type(error).__name__


def _tensors(batch: Batch) -> list[Tensor]:
    tensors = (batch.pixels_BHW, batch.labels_BF, batch.draws_B5, batch.step_labels_SF)
    return [tensor for tensor in tensors if tensor is not None]


def _shapes(batch: Batch) -> list[torch.Size]:
    return [tensor.shape for tensor in _tensors(batch)]


def _copy_on(device: torch.device, batch: Batch) -> Batch:
    def copied(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, copy=True)

    return Batch(
        rows_B=np.zeros(len(batch), dtype=np.int64),
        pixels_BHW=batch.pixels_BHW.to(device, copy=True),
        labels_BF=batch.labels_BF.to(device, copy=True),
        draws_B5=copied(batch.draws_B5),
        step_labels_SF=copied(batch.step_labels_SF),
    )


def made_engine(kind: str, backward: Backward, batch: Batch, backend: str = BACKEND) -> Engine:
    """An engine of this kind, ``compiled`` or ``graph``, for batches like this one.

    On a GPU the compiled step is captured too, if that works.

    Raises:
        RuntimeError: this device doesn't support it; or any of ENGINE_ERRORS.
    """
    device = backward.placement.device
    if kind == "graph":
        if device.type != "cuda":
            raise RuntimeError(f"a {device.type} device can't capture graphs")
        return Graphed(backward, batch, capture_on_cuda(device), kind)
    compiled = Compiled(backward, batch, backend)
    if device.type != "cuda":
        return compiled
    try:
        return Graphed(compiled.backward, batch, capture_on_cuda(device), kind)
    except ENGINE_ERRORS:
        return compiled
