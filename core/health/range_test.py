"""A learning-rate range test (Smith 2017, arXiv 1506.01186): the learning rate rises step by step.

It trains a copy of the current network, from a rate that changes nothing to one at which the loss
diverges. The loss shows where learning begins and where it ends. The run waits meanwhile and does
not change.
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
"""Multiple of the lowest loss so far at which the test has diverged and ends."""

_FALLS = 0.97
_STEADY = 10
"""The rate of the lowest loss is the edge; a run learns at rates from a tenth of it up to it. The
demo does well at the edge itself, with warm-up and a decaying rate."""

_OVER, _UNDER = 3, 5
"""The check warns if the recipe's rate is this many times above or below that range."""


@dataclass(frozen=True)
class RangeTest:
    """The learning rate of each step and the loss before it, in order; shorter if it diverged."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    burst: bool

    @property
    def smoothed(self) -> list[float]:
        """Median of each loss and its neighbours, so that one odd batch does not move the edge."""
        half = _SMOOTHED // 2
        return [
            statistics.median(self.losses[max(0, place - half) : place + half + 1])
            for place in range(len(self.losses))
        ]

    @property
    def edge(self) -> float | None:
        """The rate at which the loss was lowest; None if it never fell."""
        smoothed = self.smoothed
        if not smoothed or min(smoothed) > _FALLS * smoothed[0]:
            return None
        return float(f"{self.rates[smoothed.index(min(smoothed))]:.1g}")


def try_rates(trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> RangeTest | None:
    """Train a copy for up to 60 steps, each at a higher rate than the one before.

    It uses the batches of the current epoch and a fresh optimiser of the recipe's kind. Returns
    None if ``may_go_on``, called with the steps done and their total, returned False, or if memory
    is too small for two networks.
    """
    part = replace(trainer.part, resident=None)  # the test must not free the run's resident images
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
    """Compare the recipe's learning rate with the range test."""
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
            text=f"The range test found no learning rate at which the loss falls within {STEPS} "
            "steps: the learning rate is not the cause.",
            evidence=evidence,
            remedy="Look at the other checks: images, labels, weights. Late in a run this is "
            "normal.",
        )
        return
    steady = edge / _STEADY
    works = f"{steady:g} to {edge:g}"
    if steady / _UNDER <= learning_rate <= edge * _OVER:
        yield Diagnosis(
            check="rate-range",
            severity=Severity.OK,
            text=f"by the range test, learning rates of {works} work; the recipe has "
            f"{learning_rate:g}",
            evidence=evidence,
        )
        return
    side = "above" if learning_rate > edge else "below"
    yield Diagnosis(
        check="rate-range",
        severity=Severity.NOTE,
        text=f"The recipe's learning rate of {learning_rate:g} is {side} the range found by the "
        f"range test: {works}.",
        evidence=evidence,
        remedy=f"Try train.learning_rate={steady:g}.",
        changes=(f"train.learning_rate={steady:g}",),
    )


class _Climbing(Schedule):
    """From the lowest rate to the highest, by a constant factor at each step."""

    def rate(self, step: int) -> float:
        share = step / (STEPS - 1)
        return math.exp(math.log(_LOWEST) + share * (math.log(_HIGHEST) - math.log(_LOWEST)))


def _has_burst(losses: Sequence[float]) -> bool:
    """Whether the last few losses are all far above the lowest."""
    recent = losses[-_SMOOTHED:]
    return len(losses) > 2 * _SMOOTHED and min(recent) > _BURST * min(losses)
