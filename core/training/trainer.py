"""One step, one epoch."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.data.batches import Batch, Part, augmented, augments, read_ahead, training_batches
from core.data.batches import steps_per_epoch as steps_in
from core.errors import RecipeError, RunFailedError
from core.evaluation.predict import Placement
from core.model.densenet import ChestDenseNet
from core.model.device import (
    autocast,
    give_back_memory,
    is_out_of_memory,
    memory_errors_named,
)
from core.recipe import NETWORK_STRIDE_PX, Recipe
from core.training.objectives import Objective, Schedule, make_optimizer

MAX_SKIPPED_IN_A_ROW = 5
"""So many steps that are not finite, one after the other, fail the run."""

RECORD_SECONDS = 0.25
"""Steps are recorded at most this often, with the mean since the last record."""


class NotFiniteError(RunFailedError):
    """Step after step was not finite; the weights are as they were before."""


@dataclass(frozen=True)
class StepResult:
    """One optimiser step: its mean loss, gradient norm, and whether weights were updated.

    ``micro_batch_size`` is what memory allowed from this step on, where it was less than before.
    """

    loss: float
    gradient_norm: float
    updated: bool
    micro_batch_size: int | None = None


@dataclass
class Recorded:
    """Sums since the last record of steps."""

    loss: float = 0.0
    steps: int = 0
    images: int = 0
    gradient_norm: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def add(self, result: StepResult, num_images: int) -> None:
        """Take note of a step."""
        self.loss += result.loss
        self.steps += 1
        self.images += num_images
        self.gradient_norm = result.gradient_norm

    def is_due(self) -> bool:
        """Whether enough time has passed for another record."""
        return self.steps > 0 and time.monotonic() - self.since >= RECORD_SECONDS

    def images_per_second(self) -> float:
        """Rate since the last record."""
        return self.images / max(1e-9, time.monotonic() - self.since)

    def clear(self) -> None:
        """Begin anew, after a record."""
        self.loss, self.steps, self.images = 0.0, 0, 0
        self.since = time.monotonic()


@dataclass
class Progress:
    """How far a run is; what a checkpoint keeps besides weights.

    ``epoch`` counts from 1 and is the one under way; ``step_in_epoch`` counts the batches of
    it that are done; ``step`` counts optimiser steps over the whole run.
    """

    epoch: int = 1
    step_in_epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_epoch: int | None = None
    best_score: float | None = None
    best_rule: str = ""
    epochs_without_better: int = 0
    went_back: bool = False
    """Whether the run went back to a checkpoint once, since steps were not finite."""
    micro_batch_size: int | None = None
    """What memory allows, where it is less than the recipe asks for."""

    @property
    def mean_train_loss(self) -> float:
        """Mean loss of the epoch's steps so far; NaN before the first."""
        return self.loss_sum / self.loss_steps if self.loss_steps else math.nan


def micro_batches(num_images: int, size: int) -> list[slice]:
    """The batch in pieces of at most ``size``, as equal as can be."""
    count = math.ceil(num_images / size)
    edges = [round(piece * num_images / count) for piece in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _fewest_at_once(recipe: Recipe) -> int:
    """Below two map cells a lone image has one value a channel, and no batch statistics."""
    return 1 if recipe.image.size_px >= 2 * NETWORK_STRIDE_PX else 3


def _refuse_single_images(recipe: Recipe, num_images: int) -> None:
    size = min(recipe.train.micro_batch_size or recipe.train.batch_size, num_images)
    if size >= _fewest_at_once(recipe):
        return
    raise RecipeError(
        f"at {recipe.image.size_px} px batch norm needs three images at once, got {size}",
        where="train.batch_size",
        remedy=f"Raise it (and train.micro_batch_size), or image.size_px to "
        f"{2 * NETWORK_STRIDE_PX} at least.",
    )


class Trainer:
    """The network, its optimiser and schedule, and how far they are; owned by one thread."""

    def __init__(
        self, model: ChestDenseNet, part: Part, recipe: Recipe, placement: Placement
    ) -> None:
        self.recipe = recipe
        self.settings = recipe.train
        self.part = part
        self.placement = placement
        self.model = placement.place(model)
        self.host_objective = Objective.of(self.settings, torch.from_numpy(part.labels_NF))
        self.objective = self.host_objective.to(placement.device)
        self.optimizer = make_optimizer(self.model, self.settings)
        self.schedule = Schedule(self.settings, self.steps_per_epoch)
        _refuse_single_images(recipe, len(part))
        self.progress = Progress()
        self.skipped_in_a_row = 0
        self.seconds_waited = 0.0
        """For batches, since the start of this process."""
        self._running_statistics = [
            buffer for buffer in self.model.buffers() if buffer.is_floating_point()
        ]

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return steps_in(len(self.part), self.settings.batch_size)

    def epoch_steps(self) -> Iterator[tuple[Batch, StepResult]]:
        """Train on what is left of the epoch under way, a step at a time.

        Raises:
            RunFailedError: too many steps in a row were not finite, or memory ran out.
        """
        batches = read_ahead(
            training_batches(
                self.part,
                seed=self.settings.seed,
                epoch=self.progress.epoch,
                batch_size=self.settings.batch_size,
                augment=augments(self.recipe.augment),
                first_step=self.progress.step_in_epoch,
            )
        )
        try:
            while (batch := self._next_of(batches)) is not None:
                yield batch, self.step(batch)
        finally:
            batches.close()  # type: ignore[attr-defined]  # a generator: close ends its thread

    def _next_of(self, batches: Iterator[Batch]) -> Batch | None:
        began = time.perf_counter()
        batch = next(batches, None)
        self.seconds_waited += time.perf_counter() - began
        return batch

    def step(self, batch: Batch) -> StepResult:
        """One optimiser step; the update is left out where loss or gradient is not finite."""
        rate = self.schedule.rate(self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        before = [buffer.clone() for buffer in self._running_statistics]
        self.optimizer.zero_grad(set_to_none=True)
        allowed = self.progress.micro_batch_size
        loss = self._loss_within_memory(batch, before)
        norm = self._gradient_norm()
        updated = math.isfinite(loss) and math.isfinite(norm)
        if updated:
            self.optimizer.step()
        else:
            # The forward pass has put NaN into the batch norms' statistics already.
            self._restore_statistics(before)
        self._advance(loss, updated)
        halved = self.progress.micro_batch_size
        return StepResult(loss, norm, updated, halved if halved != allowed else None)

    @property
    def scoring_batch_size(self) -> int:
        """Images at once in validation: the batch, or as few as memory allowed in training."""
        return min(self.settings.batch_size, self.progress.micro_batch_size or 2**31)

    def _loss_within_memory(self, batch: Batch, statistics: list[Tensor]) -> float:
        """The loss, with gradients; where memory runs out, again in micro-batches half as large.

        Raises:
            RunFailedError: it ran out with the smallest micro-batch there can be.
        """
        while True:
            asked = self.settings.micro_batch_size or self.settings.batch_size
            size = min(asked, self.progress.micro_batch_size or asked, len(batch))
            try:
                return self._accumulate_gradients(batch, size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or size // 2 < _fewest_at_once(self.recipe):
                    with memory_errors_named(remedy="Lower image.size_px, or use a larger GPU."):
                        raise
            # Outside the except block, where the error no longer holds on to the activations.
            self.progress.micro_batch_size = size // 2
            self.optimizer.zero_grad(set_to_none=True)
            self._restore_statistics(statistics)
            give_back_memory(self.placement.device)

    def _restore_statistics(self, before: list[Tensor]) -> None:
        for buffer, old in zip(self._running_statistics, before, strict=True):
            buffer.copy_(old)

    def _accumulate_gradients(self, batch: Batch, size: int) -> float:
        """Backward over the batch in micro-batches; the mean loss over its known labels."""
        known = max(1, int((~batch.labels_BF.isnan()).sum()))
        total = torch.zeros((), device=self.placement.device)
        for part in micro_batches(len(batch), size):
            pixels_B1HW = self._input(batch, part)
            labels_BF = batch.labels_BF[part].to(self.placement.device, non_blocking=True)
            with autocast(self.placement.precision, self.placement.device):
                logits_BF = self.model(pixels_B1HW)
            loss = self.objective.losses(logits_BF, labels_BF).sum() / known
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        return float(total)

    def _input(self, batch: Batch, part: slice) -> Tensor:
        pixels_B1HW = self.placement.pixels(batch.pixels_BHW[part])
        if batch.draws_B5 is None:
            return pixels_B1HW
        draws_B5 = batch.draws_B5[part].to(self.placement.device, non_blocking=True)
        return augmented(pixels_B1HW, draws_B5, self.recipe.augment)

    def _gradient_norm(self) -> float:
        gradients = [item.grad for item in self.model.parameters() if item.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), self.settings.clip_norm, norm)
        return float(norm)

    def _advance(self, loss: float, updated: bool) -> None:
        self.progress.step += 1
        self.progress.step_in_epoch += 1
        if updated:
            self.skipped_in_a_row = 0
            self.progress.loss_sum += loss
            self.progress.loss_steps += 1
            return
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise NotFiniteError(
                f"the loss or gradient was not finite {self.skipped_in_a_row} times in a row, "
                f"up to step {self.progress.step}",
                why="The weights were not touched by them; the last checkpoint is good.",
                remedy="Lower train.learning_rate, set train.clip_norm, or train.precision=fp32.",
            )

    def finish_epoch(self) -> None:
        """Turn to the next epoch."""
        self.progress.epoch += 1
        self.progress.step_in_epoch = 0
        self.progress.loss_sum, self.progress.loss_steps = 0.0, 0

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(the model's, the optimiser's) tensors by name, for a checkpoint."""
        model = dict(self.model.state_dict())
        names = {id(item): name for name, item in self.model.named_parameters()}
        optimizer = {
            f"{names[id(parameter)]}|{key}": torch.as_tensor(value)
            for parameter, state in self.optimizer.state.items()
            for key, value in state.items()
            if value is not None
        }
        return model, optimizer

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps; JSON."""
        return {"progress": vars(self.progress).copy(), "schedule": self.schedule.state()}

    def restore(
        self,
        model: dict[str, Tensor],
        optimizer: dict[str, Tensor],
        state: dict[str, Any],
    ) -> None:
        """Go on from a checkpoint of the same recipe."""
        self.model.load_state_dict(model)
        by_name = dict(self.model.named_parameters())
        fused = bool(self.optimizer.defaults.get("fused"))
        for key, tensor in optimizer.items():
            name, _, entry = key.rpartition("|")
            parameter = by_name[name]
            if tensor.ndim == 0:  # AdamW's count of steps stays on the host unless it is fused
                value = tensor.to(parameter.device) if fused else tensor
            else:  # in the parameter's own memory layout
                value = torch.empty_like(parameter).copy_(tensor)
            self.optimizer.state[parameter][entry] = value
        self.progress = Progress(**state["progress"])
        self.schedule.restore(state["schedule"])
