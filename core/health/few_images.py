"""Overfit a few images before training: a network that can't do that can learn nothing.

This finds within seconds what prevents learning: the same image under every name, a dead or frozen
network, labels that are all unknown. It trains a copy: the run's weights, batch norm statistics,
optimiser and random numbers do not change.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.batches import Batch, Part, scoring_batches
from core.errors import RunFailedError
from core.health.diagnosis import Diagnosis, Severity
from core.in_slices import LooseThreads, waited
from core.recipe import Recipe
from core.training.step.results import StepResult
from core.training.trainer import NotFiniteError, Trainer

MOST_STEPS = 30
LONGEST_SECONDS = 60.0
"""Skipped, unless the recipe asks for it, where it would take longer."""

_IMAGES = 16
_FEWEST_OF_EACH = 4
_LEARNT = 0.5
"""Share of the loss of the best constant prediction for these images."""

_LEARNING_RATE = 0.001
_WARM_STEPS = 2
"""The first steps are slow: kernels are chosen and memory is allocated."""


@dataclass(frozen=True)
class Rehearsal:
    """The result of training on a few images.

    Attributes:
        images: their number; half of them are positive for ``finding``.
        finding: the finding by which the images were chosen.
        losses: the loss of each finite step, before its update.
        base_rate_loss: loss of the best constant prediction for these images.
        seconds: duration.
        is_finite: False if loss or gradient was not finite several times in a row.
    """

    images: int
    finding: str
    losses: tuple[float, ...]
    base_rate_loss: float
    seconds: float
    is_finite: bool = True

    @property
    def learnt(self) -> bool:
        """Whether the loss fell to half of that of the best constant prediction."""
        return self.is_finite and min(self.losses, default=math.inf) < _LEARNT * self.base_rate_loss


def learn_few_images(
    trainer: Trainer, may_go_on: Callable[[int], bool], longest_seconds: float = LONGEST_SECONDS
) -> Rehearsal | None:
    """Overfit a copy of the network to 16 images of the train part.

    Uses AdamW at 0.001 whatever the recipe says: this tests the images, labels and network, and the
    recipe's rate is watched during training. Returns None if the part has too few positive or
    negative images, if it would take too long on this machine, or if ``may_go_on`` returned False.
    It is called with the number of steps done, several times a second.
    """
    few = _few_images(trainer.part)
    if few is None:
        return None
    part, column = few
    pupil = Trainer(
        copy.deepcopy(trainer.model),
        part,
        _recipe(trainer.recipe),
        trainer.placement,
        objective=trainer.host_objective,
    )
    pupil.progress.micro_batch_size = trainer.progress.micro_batch_size
    batch = next(iter(scoring_batches(part, len(part))))
    base = pupil.host_objective.base_rate_loss(torch.from_numpy(part.labels_NF))
    if base is None:
        return None
    finding = trainer.model.findings[column]
    if trainer.placement.device.type != "cpu":
        return _learn(
            lambda _done: pupil.step(batch), batch, finding, base, may_go_on, longest_seconds
        )
    # A step on a CPU may take ten seconds, so a stop interrupts it. An interrupted step affects the
    # copy alone.
    with LooseThreads(1, "few-images") as threads, contextlib.suppress(_LeftError):

        def step(done: int) -> StepResult:
            return waited(threads.submit(pupil.step, batch), lambda: _leave_unless(may_go_on(done)))

        return _learn(step, batch, finding, base, may_go_on, longest_seconds)
    return None


class _LeftError(Exception):
    """A stop was requested in the middle of a step."""


def _leave_unless(goes_on: bool) -> None:
    if not goes_on:
        raise _LeftError


def _learn(
    take_step: Callable[[int], StepResult],
    batch: Batch,
    finding: str,
    base: float,
    may_go_on: Callable[[int], bool],
    longest_seconds: float,
) -> Rehearsal | None:
    started = warm = time.monotonic()
    losses: list[float] = []
    is_finite = True
    for done in range(MOST_STEPS):
        if not may_go_on(done):
            return None
        try:
            result = take_step(done)
            is_updated = result.updated
        except NotFiniteError:
            is_finite = False
            break
        except RunFailedError:  # no memory for a second network: the run itself may have enough
            return None
        if is_updated:
            losses.append(result.loss)
            if result.loss < _LEARNT * base:
                break
        if done + 1 == _WARM_STEPS:
            warm = time.monotonic()
        elif done == _WARM_STEPS:
            a_step = time.monotonic() - warm
            if warm - started + a_step * (MOST_STEPS - _WARM_STEPS) > longest_seconds:
                return None
    seconds = time.monotonic() - started
    return Rehearsal(len(batch), finding, tuple(losses), base, seconds, is_finite)


def check_few_images(rehearsal: Rehearsal) -> Iterator[Diagnosis]:
    """Whether the network can learn at all."""
    steps, images = len(rehearsal.losses), rehearsal.images
    evidence: dict[str, float | int | str | None] = {
        "images": images,
        "positive_for": rehearsal.finding,
        "steps": steps,
        "loss_first": rehearsal.losses[0] if steps else None,
        "loss_lowest": min(rehearsal.losses, default=None),
        "base_rate": rehearsal.base_rate_loss,
        "seconds": round(rehearsal.seconds, 1),
    }
    if rehearsal.learnt:
        yield Diagnosis(
            check="few-images",
            severity=Severity.OK,
            text=f"the network can learn: it memorised {images} images in {steps} steps",
            evidence=evidence,
        )
        return
    text = (
        f"The network can't memorise {images} images in {steps} steps at a learning rate that is "
        "known to work: it will learn nothing from thousands."
    )
    if not rehearsal.is_finite:
        text = (
            f"The loss or gradient of {images} images is not finite at a learning rate that is "
            "known to work: the weights contain NaN or infinity, or the images are all the same."
        )
    yield Diagnosis(
        check="few-images",
        severity=Severity.STOP,
        text=text,
        evidence=evidence,
        remedy="Look at the images in Data: are they black, or the same under every name? Then "
        "check the weights: it must work without any (model.weights=none). No learning rate fixes "
        "this.",
        changes=("model.weights=none",) if rehearsal.is_finite else ("train.precision=fp32",),
    )


def _few_images(part: Part) -> tuple[Part, int] | None:
    """Images of the part, half of them positive for a finding, and that finding's column.

    The finding is the one with the most positive images that leaves enough negative ones. The
    images are spread evenly over the part and are the same each time.
    """
    positives_F, negatives_F = (np.sum(part.labels_NF == value, axis=0) for value in (1, 0))
    enough_F = np.minimum(positives_F, negatives_F)
    column = int(enough_F.argmax())
    each = min(_IMAGES // 2, int(enough_F[column]))
    if each < _FEWEST_OF_EACH:
        return None
    rows = [
        _from_all_over(np.flatnonzero(part.labels_NF[:, column] == value), each) for value in (1, 0)
    ]
    rows_K = np.sort(np.concatenate(rows))
    return part.only(rows_K), column


def _from_all_over(rows_N: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    return rows_N[np.linspace(0, len(rows_N) - 1, count).astype(np.intp)]


def _recipe(recipe: Recipe) -> Recipe:
    """The run's recipe with our own optimiser settings."""
    train = recipe.train.model_copy(
        update={
            "optimizer": "adamw",
            "learning_rate": _LEARNING_RATE,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup_epochs": 0.0,
            "batch_size": _IMAGES,
            "clip_norm": None,
        }
    )
    return recipe.model_copy(update={"train": train})
