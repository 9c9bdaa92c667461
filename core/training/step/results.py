"""What steps came to: kept on the device, and read all at once when somebody asks.

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
"""So many steps at most are not read yet; recording reads far sooner."""

RECORD_SECONDS = 0.25
"""Steps are recorded at most this often, with the mean since the last record."""


class StepResult:
    """One optimiser step: its mean loss, gradient norm, and whether weights were updated.

    The first question about any of these reads them from the device, for all steps so far.

    Attributes:
        step: counted over the whole run, from 1.
        epoch: counted from 1.
        num_images: of its batch.
        micro_batch_size: what memory allowed from this step on, where it was less than before.
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
        """The numbers have come from the device."""
        self._loss_and_norm = loss, gradient_norm

    @property
    def loss(self) -> float:
        """Mean over the batch's known labels, before the update."""
        return self._settled()[0]

    @property
    def gradient_norm(self) -> float:
        """Of all gradients together, before it was clipped."""
        return self._settled()[1]

    @property
    def updated(self) -> bool:
        """False where loss or gradient norm is not finite: then the weights are as before."""
        return all(map(math.isfinite, self._settled()))

    def _settled(self) -> tuple[float, float]:
        if self._loss_and_norm is None:
            self._read()
        assert self._loss_and_norm is not None
        return self._loss_and_norm


class Outcomes:
    """Loss and gradient norm of the steps since the last reading, on the device."""

    def __init__(self, device: torch.device, take: Callable[[StepResult], None]) -> None:
        self._rows_K2 = torch.zeros((MOST_UNREAD, 2), device=device)
        self._unread: list[StepResult] = []
        self._take = take
        self.readings = 0
        """How often the device was waited for."""

    def add(self, result: StepResult, loss_and_norm_2: Tensor) -> None:
        """Another step; nothing is waited for, unless very many were not read."""
        if len(self._unread) == MOST_UNREAD:
            self.read()
        self._rows_K2[len(self._unread)].copy_(loss_and_norm_2)
        self._unread.append(result)

    def read(self) -> None:
        """Wait for the device, and take note of each step in turn."""
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
    """Sums since the last record of steps; ``waiting`` are steps that were not looked at yet."""

    loss: float = 0.0
    steps: int = 0
    images: int = 0
    gradient_norm: float = 0.0
    since: float = field(default_factory=time.monotonic)
    waiting: list[StepResult] = field(default_factory=list)

    def add(self, result: StepResult) -> None:
        """Take note of a step that updated the weights."""
        self.loss += result.loss
        self.steps += 1
        self.images += result.num_images
        self.gradient_norm = result.gradient_norm

    def is_due(self) -> bool:
        """Whether enough time has passed for another record."""
        return bool(self.waiting) and time.monotonic() - self.since >= RECORD_SECONDS

    def images_per_second(self) -> float:
        """Rate since the last record."""
        return self.images / max(1e-9, time.monotonic() - self.since)

    def clear(self) -> None:
        """Begin anew, after a record."""
        self.loss, self.steps, self.images = 0.0, 0, 0
        self.since = time.monotonic()
