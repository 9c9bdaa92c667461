"""Training as in a run, in blocks that alternate with other measurements.

The loop is that of a run, with its epochs, health checks and events. After every step it asks for
the next request; that is where time is measured and other blocks run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.model.device import synchronize
from core.requests import Request
from core.training.trainer import Trainer

WARM_UP_STEPS = 3
MOST_STEPS = 400
"""Default length of a block."""

_FEWEST_STEPS = 2


@dataclass
class LoopTurns:
    """Answers a run's requests, and times its blocks of steps.

    Args:
        trainer: of the loop.
        rounds: number of blocks to measure.
        block_seconds: approximate length of a block.
        others: measures the other parts between two blocks; called with the number of blocks done,
            first with 0 as a warm-up.
        at_each_step: called after each step; may raise to end the measurement.
        steps: number in a block; 0 lets the warm-up determine how many fit.

    Attributes:
        images_per_second: of each block.
        seconds_waited, seconds: time spent waiting for batches, and in total, over the blocks.
    """

    trainer: Trainer
    rounds: int
    block_seconds: float
    others: Callable[[int], None]
    at_each_step: Callable[[], None] = lambda: None
    steps: int = 0
    images_per_second: list[float] = field(default_factory=list)
    seconds_waited: float = 0.0
    seconds: float = 0.0
    _asked: int = 0
    _is_warm: bool = False
    _began: float = field(default_factory=time.perf_counter)
    _waited_before: float = 0.0

    def next_request(self) -> Request:
        """Called after each step."""
        self.at_each_step()
        self._asked += 1
        if not self._is_warm:
            self._warm_up()
        elif self._asked == self.steps:
            self._note_block()
            self.others(len(self.images_per_second))
            if len(self.images_per_second) == self.rounds:
                return Request.ABANDON
            self._start_block()
        return Request.CONTINUE

    def _warm_up(self) -> None:
        synchronize(self.trainer.placement.device)
        if self._asked == WARM_UP_STEPS:
            a_step = time.perf_counter() - self._began
            fitting = math.ceil(self.block_seconds / a_step)
            self.steps = self.steps or min(max(fitting, _FEWEST_STEPS), MOST_STEPS)
            self._is_warm = True
            self.others(0)
            self._start_block()
        self._began = time.perf_counter()

    def _start_block(self) -> None:
        self._asked = 0
        self._waited_before = self.trainer.seconds_waited
        self._began = time.perf_counter()

    def _note_block(self) -> None:
        synchronize(self.trainer.placement.device)
        seconds = time.perf_counter() - self._began
        self.images_per_second.append(self.steps * self.trainer.settings.batch_size / seconds)
        self.seconds += seconds
        self.seconds_waited += self.trainer.seconds_waited - self._waited_before
