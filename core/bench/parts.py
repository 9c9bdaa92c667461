"""Measurements between two blocks of the loop: each part of a run alone."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.batches import Batch, Part, augmented, augments, training_batches
from core.evaluation.predict import predict_logits
from core.model.compiler_cache import own_compiler_cache
from core.model.device import synchronize
from core.model.precision import autocast
from core.training.objectives import make_optimizer
from core.training.step.engines import BACKEND, ENGINE_ERRORS, Graphed, captured
from core.training.trainer import Trainer

_VALIDATION, _SHORT = 0.5, 0.15
"""Share of a block's seconds for scoring, and for parts that take microseconds per batch."""

_MOST_TURNS = 10_000

_Loss = Callable[[Tensor, Tensor], Tensor]


class BareStep:
    """The training step alone, on one batch already on the device: the upper limit.

    Forward, loss, backward and update in the run's precision, layout and micro-batches, compiled or
    graph-captured as the run's step, on a copy of its network. It has no augmentation, gradient
    norm, checks or events.
    """

    def __init__(self, trainer: Trainer, batch: Batch) -> None:
        placement = trainer.placement
        self._trainer = trainer
        # Weights that drift would not change the speed, but the copy keeps the run's unchanged.
        self.network = placement.place(copy.deepcopy(trainer.model)).train()
        self._optimizer = make_optimizer(self.network, trainer.settings)
        self._batch = placement.pixels(batch.pixels_BHW), batch.labels_BF.to(placement.device)
        self._known = max(1, int((~batch.labels_BF.isnan()).sum()))
        self._loss: _Loss = self._loss_of
        self._compute: Callable[[], None] = self._gradients
        engine = trainer.train_step.engine
        if engine is not None and engine.kind == "compiled":
            own_compiler_cache()
            self._loss = torch.compile(self._loss_of, dynamic=False, backend=BACKEND)
        if isinstance(engine, Graphed):
            with contextlib.suppress(*ENGINE_ERRORS):  # memory may be enough for one engine only
                _, self._compute = captured(placement.device, self._gradients)

    def __call__(self) -> None:
        """One step."""
        self._compute()
        self._optimizer.step()

    def _gradients(self) -> None:
        trainer = self._trainer
        size = trainer.progress.images_at_once(trainer.settings)
        self._optimizer.zero_grad(set_to_none=True)
        pieces = math.ceil(len(self._batch[0]) / size)
        for pixels_B1HW, labels_BF in zip(
            *(tensor.tensor_split(pieces) for tensor in self._batch), strict=True
        ):
            self._loss(pixels_B1HW, labels_BF).backward()  # type: ignore[no-untyped-call]

    def _loss_of(self, pixels_B1HW: Tensor, labels_BF: Tensor) -> Tensor:
        placement = self._trainer.placement
        with autocast(placement.precision, placement.device):
            logits_BF = self.network(pixels_B1HW)
        return (
            self._trainer.train_step.backward.objective.losses(logits_BF, labels_BF).sum()
            / self._known
        )


@dataclass
class OtherParts:
    """Everything except the loop; each method measures one block, in images per second."""

    trainer: Trainer
    val: Part
    bare: BareStep
    batch: Batch
    block_seconds: float

    def step(self, steps: int) -> float:
        """The bare training step."""
        return self._timed(self.bare, steps)

    def validation(self) -> float:
        """Scoring at the run's batch size, for the duration of a block."""
        trainer = self.trainer
        done = 0

        def is_short(scored: int) -> bool:
            nonlocal done
            done = scored
            return time.perf_counter() - began < _VALIDATION * self.block_seconds

        synchronize(trainer.placement.device)
        began = time.perf_counter()
        predict_logits(
            trainer.model,
            self.val,
            trainer.placement,
            batch_size=trainer.scoring_batch_size,
            progress=is_short,
        )
        return done / (time.perf_counter() - began)

    def cache(self) -> float:
        """Reading batches from the cache in an epoch's order, on one thread."""
        trainer = self.trainer
        batches = itertools.chain.from_iterable(
            training_batches(
                trainer.part,
                seed=trainer.settings.seed,
                epoch=epoch,
                batch_size=trainer.settings.batch_size,
                augment=augments(trainer.recipe.augment),
            )
            for epoch in itertools.count(1)
        )
        return self._repeated(lambda: next(batches))

    def augmentation(self) -> float:
        """From a batch's bytes to the network's input, on the device."""
        trainer = self.trainer

        def prepare() -> object:
            pixels_B1HW = trainer.placement.pixels(self.batch.pixels_BHW)
            if self.batch.draws_B5 is None:
                return pixels_B1HW
            draws_B5 = self.batch.draws_B5.to(trainer.placement.device)
            return augmented(pixels_B1HW, draws_B5, trainer.recipe.augment)

        return self._repeated(prepare)

    def _repeated(self, act: Callable[[], object]) -> float:
        act()
        began, turns = time.perf_counter(), 0
        until = began + _SHORT * self.block_seconds
        while turns < _MOST_TURNS and time.perf_counter() < until:
            act()
            turns += 1
        synchronize(self.trainer.placement.device)
        return turns * len(self.batch) / (time.perf_counter() - began)

    def _timed(self, act: Callable[[], object], turns: int) -> float:
        synchronize(self.trainer.placement.device)
        began = time.perf_counter()
        for _ in range(turns):
            act()
        synchronize(self.trainer.placement.device)
        return turns * len(self.batch) / (time.perf_counter() - began)


def first_batch(trainer: Trainer) -> Batch:
    """The first batch of the first epoch, used for everything except the loop."""
    return next(
        training_batches(
            trainer.part,
            seed=trainer.settings.seed,
            epoch=1,
            batch_size=trainer.settings.batch_size,
            augment=augments(trainer.recipe.augment),
        )
    )
