"""A network in training: its steps, its progress, and what a checkpoint saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from core.data.batches import (
    Batch,
    Part,
    augments,
    read_ahead,
    training_batches,
)
from core.data.batches import steps_per_epoch as steps_in
from core.errors import RecipeError, RunFailedError
from core.evaluation.predict import Placement
from core.model.densenet import ChestDenseNet
from core.recipe import NETWORK_STRIDE_PX, Recipe
from core.training.distributed.exchange import pieces_of
from core.training.distributed.ranks import ALONE, BeginEpoch, Ranks, Restore
from core.training.objectives import Objective, Schedule, is_fused, make_optimizer
from core.training.progress import Progress
from core.training.step.backward import Backward
from core.training.step.fallback import fewest_at_once
from core.training.step.results import Outcomes, StepResult
from core.training.step.train_step import TrainStep

MAX_SKIPPED_IN_A_ROW = 5
"""Number of consecutive steps with a non-finite loss or gradient that fails the run."""


class NotFiniteError(RunFailedError):
    """Too many consecutive steps were not finite; the weights are unchanged by them."""


def _refuse_single_images(recipe: Recipe, num_images: int, ranks: Ranks) -> None:
    piece, asked = recipe.train.batch_size // ranks.size, recipe.train.micro_batch_size
    size = min(asked or piece, piece, num_images)
    fewest = fewest_at_once(recipe)
    if size >= fewest:
        return
    of_ranks = f" in each of {ranks.size} processes" if ranks.size > 1 else ""
    needed = {1: "one image", 3: "three images"}[fewest]
    raise RecipeError(
        f"at {recipe.image.size_px} px batch norm needs {needed} per pass{of_ranks}, got {size}",
        where="train.batch_size",
        remedy=f"Raise it (and train.micro_batch_size), or set image.size_px to "
        f"at least {2 * NETWORK_STRIDE_PX}.",
    )


class Trainer:
    """The network, its optimiser and schedule, and its progress; owned by one thread."""

    def __init__(
        self,
        model: ChestDenseNet,
        part: Part,
        recipe: Recipe,
        placement: Placement,
        ranks: Ranks = ALONE,
        objective: Objective | None = None,
    ) -> None:
        """``objective``, with weights on the host, replaces the recipe's."""
        self.recipe = recipe
        self.settings = recipe.train
        self.part = part
        self.placement = placement
        self.ranks = ranks
        self.model = placement.place(model)
        self.host_objective = objective or Objective.of(
            self.settings, torch.from_numpy(part.labels_NF)
        )
        self.schedule = Schedule(self.settings, self.steps_per_epoch)
        _refuse_single_images(recipe, len(part), ranks)
        self.progress = Progress()
        self.skipped_in_a_row = 0
        self.seconds_waited = 0.0
        """Time spent waiting for batches in this process."""
        self.train_step = TrainStep(
            Backward(self.model, self.host_objective.to(placement.device), placement, recipe),
            make_optimizer(self.model, self.settings),
            recipe,
            ranks,
        )
        self.outcomes = Outcomes(placement.device, self._take)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return steps_in(len(self.part), self.settings.batch_size)

    def epoch_steps(self) -> Iterator[tuple[Batch, StepResult]]:
        """Train on the rest of the current epoch, yielding each step.

        Raises:
            RunFailedError: too many steps in a row were not finite, or memory ran out.
            RankLostError: another rank is gone.
        """
        self.ranks.broadcast(BeginEpoch(self.state()))
        batches = read_ahead(
            training_batches(
                self.part,
                seed=self.settings.seed,
                epoch=self.progress.epoch,
                batch_size=self.settings.batch_size,
                augment=augments(self.recipe.augment),
                first_step=self.progress.step_in_epoch,
                piece=self.own_piece,
            ),
            for_cuda=self.placement.device.type == "cuda",
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
        """One optimiser step; the update is skipped if loss or gradient is not finite.

        Doesn't wait for the device: reading the result's loss does. Every rank takes the step, and
        all end up with the same weights.
        """
        progress = self.progress
        rate, allowed = self.schedule.rate(progress.step), progress.micro_batch_size
        outcome = self.train_step(batch, rate, progress, self.part.resident)
        progress.step += 1
        progress.step_in_epoch += 1
        lowered = progress.micro_batch_size
        result = StepResult(
            self.outcomes.read,
            step=progress.step,
            epoch=progress.epoch,
            num_images=len(batch.labels_of_step()),
            micro_batch_size=lowered if lowered != allowed else None,
            notices=self.train_step.notices(),
        )
        self.outcomes.add(result, outcome.loss_and_norm_2)
        if self.ranks.size > 1:
            self.outcomes.read()  # all ranks have to fail at the same step
        return result

    @property
    def images_at_once(self) -> int:
        """Most images of a step that go through the network together, per rank."""
        piece = max(1, self.settings.batch_size // self.ranks.size)
        return min(self.progress.images_at_once(self.settings), piece)

    @property
    def scoring_batch_size(self) -> int:
        """Batch size of validation: the batch size, or less if memory ran out in training.

        On CUDA four times as many as training has at once: without gradients they take less memory,
        and the host launches a large batch as fast as a small one.
        """
        allowed = self.progress.micro_batch_size or self.settings.batch_size
        if self.placement.device.type != "cuda":
            return min(self.settings.batch_size, allowed)
        return 4 * self.progress.images_at_once(self.settings)

    def share_weights(self) -> None:
        """Send rank 0's restored weights, optimiser and progress to the others."""
        if self.ranks.size > 1:
            model, optimizer = (
                {name: tensor.cpu() for name, tensor in tensors.items()}
                for tensors in self.tensors()
            )
            self.ranks.broadcast(Restore(model, optimizer, self.state()))

    def pieces(self, num_images: int) -> list[slice]:
        """Which images of a batch of ``num_images`` each rank takes."""
        return pieces_of(num_images, self.settings.batch_size, self.ranks.size)

    @property
    def own_piece(self) -> Callable[[int], slice] | None:
        """Which images of a batch this rank takes, by its size; None with a single process."""
        if self.ranks.size == 1:
            return None
        return lambda num_images: self.pieces(num_images)[self.ranks.rank]

    def _take(self, result: StepResult) -> None:
        """Account for a step whose numbers have been read from the device.

        Raises:
            NotFiniteError: too many steps in a row were not finite.
        """
        if result.updated:
            self.skipped_in_a_row = 0
            self.progress.loss_sum += result.loss
            self.progress.loss_steps += 1
            return
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise NotFiniteError(
                f"the loss or gradient was not finite {self.skipped_in_a_row} times in a row, "
                f"up to step {result.step}",
                why="These steps did not change the weights; earlier checkpoints are good.",
                remedy="Lower train.learning_rate, or set train.clip_norm or train.precision=fp32.",
            )

    def finish_epoch(self) -> None:
        """Advance to the next epoch."""
        self.outcomes.read()
        self.progress.epoch += 1
        self.progress.step_in_epoch = 0
        self.progress.loss_sum, self.progress.loss_steps = 0.0, 0

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(model, optimiser) tensors by name, for a checkpoint."""
        model = dict(self.model.state_dict())
        names = {id(item): name for name, item in self.model.named_parameters()}
        optimizer = {
            f"{names[id(parameter)]}|{key}": torch.as_tensor(value)
            for parameter, state in self.train_step.optimizer.state.items()
            for key, value in state.items()
            if value is not None
        }
        return model, optimizer

    def state(self) -> dict[str, Any]:
        """The rest of a checkpoint, as JSON."""
        self.outcomes.read()
        return {"progress": vars(self.progress).copy(), "schedule": self.schedule.state()}

    def restore(
        self,
        model: dict[str, Tensor],
        optimizer: dict[str, Tensor],
        state: dict[str, Any],
    ) -> None:
        """Restore a checkpoint of the same recipe."""
        self.model.load_state_dict(model)
        by_name = dict(self.model.named_parameters())
        fused = is_fused(self.train_step.optimizer)
        for key, tensor in optimizer.items():
            name, _, entry = key.rpartition("|")
            parameter = by_name[name]
            if tensor.ndim == 0:  # AdamW's step count stays on the host unless it is fused
                value = tensor.to(parameter.device) if fused else tensor
            else:  # in the parameter's own memory layout
                value = torch.empty_like(parameter).copy_(tensor)
            self.train_step.optimizer.state[parameter][entry] = value
        self.restore_state(state)

    def restore_state(self, state: dict[str, Any]) -> None:
        """Restore progress and schedule from ``state()``."""
        self.progress = Progress(**state["progress"])
        self.schedule.restore(state["schedule"])
