"""A learning-rate range test (Smith 2017, arXiv 1506.01186): the rate climbs step by step.

On a copy of the network as it is now, from a rate that moves nothing to one that bursts. The loss
tells where learning begins and where it ends. The run waits meanwhile, and is not touched.
"""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.data.batches import augments, training_batches
from core.errors import RunFailedError
from core.health.diagnosis import Diagnosis, Severity
from core.training.objectives import Schedule
from core.training.trainer import NotFiniteError, Trainer

STEPS = 60
_LOWEST, _HIGHEST = 1e-6, 1.0
_SMOOTHED = 5
_BURST = 1.5
"""Of the lowest loss so far: beyond it there is nothing left to see."""

_FALLS = 0.97
_STEADY = 10
"""The rate of the lowest loss is at the edge; from a tenth of it up to it a run learns. The demo
does well at the edge itself, with a warm-up and a falling rate."""

_OVER, _UNDER = 3, 5
"""The recipe's rate is spoken of where it is so many times above or below that."""


@dataclass(frozen=True)
class RangeTest:
    """Rates and the loss before each of their steps, in order; shorter where it burst."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    burst: bool

    @property
    def smoothed(self) -> list[float]:
        """Median of each loss and its neighbours: one odd batch is no edge."""
        half = _SMOOTHED // 2
        return [
            statistics.median(self.losses[max(0, place - half) : place + half + 1])
            for place in range(len(self.losses))
        ]

    @property
    def edge(self) -> float | None:
        """The rate at which the loss was lowest; None where it never fell."""
        smoothed = self.smoothed
        if not smoothed or min(smoothed) > _FALLS * smoothed[0]:
            return None
        return float(f"{self.rates[smoothed.index(min(smoothed))]:.1g}")


def try_rates(trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> RangeTest | None:
    """Train a copy for up to 60 steps, each at a higher rate than the one before.

    The batches are those of the epoch under way, the optimiser is the recipe's, fresh. None where
    ``may_go_on``, told the steps done and all of them, answered False, or where memory is too
    small for two networks.
    """
    part = replace(trainer.part, resident=None)  # the run's images aren't its to give up
    pupil = Trainer(copy.deepcopy(trainer.model), part, trainer.recipe, trainer.placement)
    pupil.schedule = _Climbing(trainer.settings, pupil.steps_per_epoch)
    pupil.progress.micro_batch_size = trainer.images_at_once
    rates: list[float] = []
    losses: list[float] = []
    epoch = trainer.progress.epoch
    while len(losses) < STEPS:
        batches = training_batches(
            trainer.part,
            seed=trainer.settings.seed,
            epoch=epoch,
            batch_size=trainer.settings.batch_size,
            augment=augments(trainer.recipe.augment),
        )
        for batch in batches:
            if len(losses) == STEPS:
                break
            if not may_go_on(len(losses), STEPS):
                return None
            rate = pupil.schedule.rate(pupil.progress.step)
            try:
                result = pupil.step(batch)
                is_updated = result.updated
            except NotFiniteError:
                return RangeTest(tuple(rates), tuple(losses), burst=True)
            except RunFailedError:
                return None
            if is_updated:
                rates.append(rate)
                losses.append(result.loss)
            if not is_updated or _has_burst(losses):
                return RangeTest(tuple(rates), tuple(losses), burst=True)
        epoch += 1
    return RangeTest(tuple(rates), tuple(losses), burst=False)


def check_range(found: RangeTest, learning_rate: float) -> Iterator[Diagnosis]:
    """What the range test says of the recipe's rate."""
    edge = found.edge
    evidence: dict[str, float | int | str | None] = {
        "learning_rate": learning_rate,
        "lowest_loss_at": edge,
        "bursts_at": found.rates[-1] if found.burst and found.rates else None,
        "loss_first": found.losses[0] if found.losses else None,
        "loss_lowest": min(found.smoothed, default=None),
        "steps": len(found.losses),
    }
    if edge is None:
        yield Diagnosis(
            check="rate-range",
            severity=Severity.NOTE,
            text="The range test found no learning rate at which the loss falls within "
            f"{STEPS} steps: the rate is not what stands in the way.",
            evidence=evidence,
            remedy="Look at the other answers: images, labels, weights. Late in a run it is usual.",
        )
        return
    steady = edge / _STEADY
    works = f"{steady:g} to {edge:g}"
    if steady / _UNDER <= learning_rate <= edge * _OVER:
        yield Diagnosis(
            check="rate-range",
            severity=Severity.OK,
            text=f"by the range test learning rates of {works} work; the recipe has "
            f"{learning_rate:g}",
            evidence=evidence,
        )
        return
    side = "above" if learning_rate > edge else "below"
    yield Diagnosis(
        check="rate-range",
        severity=Severity.NOTE,
        text=f"The recipe's learning rate of {learning_rate:g} is {side} what works by the range "
        f"test: {works}.",
        evidence=evidence,
        remedy=f"Try train.learning_rate={steady:g}.",
        changes=(f"train.learning_rate={steady:g}",),
    )


class _Climbing(Schedule):
    """From the lowest rate to the highest, by the same factor each step."""

    def rate(self, step: int) -> float:
        share = step / (STEPS - 1)
        return math.exp(math.log(_LOWEST) + share * (math.log(_HIGHEST) - math.log(_LOWEST)))


def _has_burst(losses: Sequence[float]) -> bool:
    """Whether the last few losses are all far above the lowest."""
    recent = losses[-_SMOOTHED:]
    return len(losses) > 2 * _SMOOTHED and min(recent) > _BURST * min(losses)
