"""Results of steps: kept on the device, and read together when needed.

A loop that reads each loss waits for the device at each step, and the device then waits for the
loop. Here a step leaves two numbers on the device; reading them is the loop's only wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

MOST_UNREAD = 256
"""At most this many steps are unread; recording usually reads far sooner."""

RECORD_SECONDS = 0.25
"""Steps are recorded at most this often, with the mean since the last record."""


class StepResult:
    """One optimiser step: its mean loss, gradient norm, and whether weights were updated.

    Accessing any of these reads them from the device, for all steps so far.

    Attributes:
        step: counted over the whole run, from 1.
        epoch: counted from 1.
        num_images: size of its batch.
        micro_batch_size: the new limit from this step on, if memory ran out.
        notices: what was given up at this step, such as a compiled step, one sentence each.
    """

    def __init__(
        self,
        read: Callable[[], None],
        *,
        step: int,
        epoch: int,
        num_images: int,
        micro_batch_size: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        self.step, self.epoch, self.num_images = step, epoch, num_images
        self.micro_batch_size, self.notices = micro_batch_size, notices
        self._read = read
        self._loss_and_norm: tuple[float, float] | None = None

    def settle(self, loss: float, gradient_norm: float) -> None:
        """Set the numbers read from the device."""
        self._loss_and_norm = loss, gradient_norm

    @property
    def loss(self) -> float:
        """Mean over the batch's known labels, before the update."""
        return self._settled()[0]

    @property
    def gradient_norm(self) -> float:
        """Norm of all gradients together, before clipping."""
        return self._settled()[1]

    @property
    def updated(self) -> bool:
        """False if loss or gradient norm is not finite: then the weights are unchanged."""
        return all(map(math.isfinite, self._settled()))

    def _settled(self) -> tuple[float, float]:
        if self._loss_and_norm is None:
            self._read()
        assert self._loss_and_norm is not None
        return self._loss_and_norm


class Outcomes:
    """Loss and gradient norm of the unread steps, on the device."""

    def __init__(self, device: torch.device, take: Callable[[StepResult], None]) -> None:
        self._rows_K2 = torch.zeros((MOST_UNREAD, 2), device=device)
        self._unread: list[StepResult] = []
        self._take = take
        self.readings = 0
        """Number of waits for the device."""

    def add(self, result: StepResult, loss_and_norm_2: Tensor) -> None:
        """Add a step; doesn't wait, unless too many are unread."""
        if len(self._unread) == MOST_UNREAD:
            self.read()
        self._rows_K2[len(self._unread)].copy_(loss_and_norm_2)
        self._unread.append(result)

    def read(self) -> None:
        """Wait for the device, and take each step's numbers in turn."""
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        rows = self._rows_K2[: len(unread)].tolist()
        self.readings += 1
        for result, (loss, norm) in zip(unread, rows, strict=True):
            result.settle(loss, norm)
        for result in unread:
            self._take(result)


@dataclass
class Recorded:
    """Sums since the last record of steps; ``waiting`` are steps not yet added."""

    loss: float = 0.0
    steps: int = 0
    images: int = 0
    gradient_norm: float = 0.0
    since: float = field(default_factory=time.monotonic)
    waiting: list[StepResult] = field(default_factory=list)

    def add(self, result: StepResult) -> None:
        """Add a step that updated the weights."""
        self.loss += result.loss
        self.steps += 1
        self.images += result.num_images
        self.gradient_norm = result.gradient_norm

    def is_due(self) -> bool:
        """Whether enough time has passed for another record."""
        return bool(self.waiting) and time.monotonic() - self.since >= RECORD_SECONDS

    def images_per_second(self) -> float:
        """Images per second since the last record."""
        return self.images / max(1e-9, time.monotonic() - self.since)

    def clear(self) -> None:
        """Start again, after a record."""
        self.loss, self.steps, self.images = 0.0, 0, 0
        self.since = time.monotonic()
