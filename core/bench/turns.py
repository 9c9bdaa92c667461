"""Training as a run does it, in blocks that take turns with other measurements.

The loop is a run's own: its epochs, its watch, its events in a session. It asks for the next
request after every step, and that is where the clock is read and the turn is passed on.
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
"""Of one block."""

_FEWEST_STEPS = 2


@dataclass
class LoopTurns:
    """Answers a run's questions, and times its blocks of steps by them.

    Args:
        trainer: of the loop.
        rounds: blocks to measure.
        block_seconds: about so long is each.
        others: what is measured between two blocks, told how many blocks there were; called
            with 0 at first, to warm up.
        at_each_step: called after each; may raise to end it all.
        steps: of one block; where it is 0 the warm-up shows how many fit into the seconds.

    Attributes:
        images_per_second: of each block.
        seconds_waited, seconds: for batches, and in all, over the blocks.
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
