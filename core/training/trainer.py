"""One step, one epoch."""

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
from core.training.distributed.exchange import Exchange, pieces_of
from core.training.distributed.ranks import ALONE, BeginEpoch, Ranks, Restore, Step
from core.training.objectives import Objective, Schedule, is_fused, make_optimizer
from core.training.progress import Progress
from core.training.step.backward import Backward, Outcome
from core.training.step.engines import Engine
from core.training.step.results import Outcomes, StepResult
from core.training.step.within_memory import WithinMemory, fewest_at_once

MAX_SKIPPED_IN_A_ROW = 5
"""So many steps that are not finite, one after the other, fail the run."""


class NotFiniteError(RunFailedError):
    """Step after step was not finite; the weights are as they were before."""


def _refuse_single_images(recipe: Recipe, num_images: int, ranks: Ranks) -> None:
    piece, asked = recipe.train.batch_size // ranks.size, recipe.train.micro_batch_size
    size = min(asked or piece, piece, num_images)
    fewest = fewest_at_once(recipe)
    if size >= fewest:
        return
    of_ranks = f" in each of {ranks.size} processes" if ranks.size > 1 else ""
    needed = {1: "one image", 3: "three images"}[fewest]
    raise RecipeError(
        f"at {recipe.image.size_px} px batch norm needs {needed} at once{of_ranks}, got {size}",
        where="train.batch_size",
        remedy=f"Raise it (and train.micro_batch_size), or image.size_px to "
        f"{2 * NETWORK_STRIDE_PX} at least.",
    )


class Trainer:
    """The network, its optimiser and schedule, and how far they are; owned by one thread."""

    def __init__(
        self,
        model: ChestDenseNet,
        part: Part,
        recipe: Recipe,
        placement: Placement,
        ranks: Ranks = ALONE,
    ) -> None:
        self.recipe = recipe
        self.settings = recipe.train
        self.part = part
        self.placement = placement
        self.ranks = ranks
        self.model = placement.place(model)
        self.use_objective(Objective.of(self.settings, torch.from_numpy(part.labels_NF)))
        self.optimizer = make_optimizer(self.model, self.settings)
        self.schedule = Schedule(self.settings, self.steps_per_epoch)
        _refuse_single_images(recipe, len(part), ranks)
        self.exchange = Exchange(self.model, ranks)
        self.progress = Progress()
        self.skipped_in_a_row = 0
        self.seconds_waited = 0.0
        """For batches, since the start of this process."""
        self.engine: Engine | None = None
        """What takes this rank's piece of a whole batch faster than the eager step, if anything."""
        self._within_memory = WithinMemory(self)
        self.outcomes = Outcomes(placement.device, self._take)

    def use_objective(self, objective: Objective) -> None:
        """Train on this loss; it comes with its weights on the host."""
        self.host_objective = objective
        self.objective = objective.to(self.placement.device)
        self.backward = Backward(self.model, self.objective, self.placement, self.recipe)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return steps_in(len(self.part), self.settings.batch_size)

    def epoch_steps(self) -> Iterator[tuple[Batch, StepResult]]:
        """Train on what is left of the epoch under way, a step at a time.

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
        """One optimiser step; the update is left out where loss or gradient is not finite.

        The device is not waited for: who asks the result for its loss waits. Every rank takes the
        step, and all come to the same weights.
        """
        self.ranks.broadcast(Step())
        rate = self.schedule.rate(self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not self.model.training:
            self.model.train()
        allowed = self.progress.micro_batch_size
        outcome = self._within_memory.outcome(batch)
        self._update(outcome)
        self.progress.step += 1
        self.progress.step_in_epoch += 1
        halved = self.progress.micro_batch_size
        result = StepResult(
            self.outcomes.read,
            step=self.progress.step,
            epoch=self.progress.epoch,
            num_images=len(batch.labels_of_step()),
            micro_batch_size=halved if halved != allowed else None,
            notices=self._within_memory.notices(),
        )
        self.outcomes.add(result, outcome.loss_and_norm_2)
        if self.ranks.size > 1:
            self.outcomes.read()  # all ranks have to fail at the same step
        return result

    def _update(self, outcome: Outcome) -> None:
        if is_fused(self.optimizer):
            # What a gradient scaler tells it: the kernel itself leaves weights and moments alone.
            self.optimizer.found_inf = outcome.not_finite  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not float(outcome.not_finite):  # no such kernel on this device: it is waited for
            self.optimizer.step()

    @property
    def images_at_once(self) -> int:
        """Most images of a step that go through the network together, on each rank."""
        piece = max(1, self.settings.batch_size // self.ranks.size)
        asked = self.settings.micro_batch_size or self.settings.batch_size
        return min(asked, self.progress.micro_batch_size or asked, piece)

    @property
    def scoring_batch_size(self) -> int:
        """Images at once in validation: the batch, or as few as memory allowed in training.

        On CUDA four times as many as training has at once: without gradients they take less memory,
        and the host orders a large batch in the time of a small one.
        """
        allowed = self.progress.micro_batch_size or self.settings.batch_size
        if self.placement.device.type != "cuda":
            return min(self.settings.batch_size, allowed)
        return 4 * min(self.settings.micro_batch_size or self.settings.batch_size, allowed)

    def share_weights(self) -> None:
        """Rank 0's weights, optimiser and progress to the others, after they were put there."""
        if self.ranks.size > 1:
            model, optimizer = (
                {name: tensor.cpu() for name, tensor in tensors.items()}
                for tensors in self.tensors()
            )
            self.ranks.broadcast(Restore(model, optimizer, self.state()))

    def pieces(self, num_images: int) -> list[slice]:
        """Which images of a batch of so many each rank has."""
        return pieces_of(num_images, self.settings.batch_size, self.ranks.size)

    @property
    def own_piece(self) -> Callable[[int], slice] | None:
        """Which images of a batch of so many are this rank's; None where all are."""
        if self.ranks.size == 1:
            return None
        return lambda num_images: self.pieces(num_images)[self.ranks.rank]

    def _take(self, result: StepResult) -> None:
        """Take note of a step whose numbers have come from the device.

        Raises:
            NotFiniteError: it is one of too many in a row.
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
                why="The weights were not touched by them; what was kept before is good.",
                remedy="Lower train.learning_rate, set train.clip_norm, or train.precision=fp32.",
            )

    def finish_epoch(self) -> None:
        """Turn to the next epoch."""
        self.outcomes.read()
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
        self.outcomes.read()
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
        fused = is_fused(self.optimizer)
        for key, tensor in optimizer.items():
            name, _, entry = key.rpartition("|")
            parameter = by_name[name]
            if tensor.ndim == 0:  # AdamW's count of steps stays on the host unless it is fused
                value = tensor.to(parameter.device) if fused else tensor
            else:  # in the parameter's own memory layout
                value = torch.empty_like(parameter).copy_(tensor)
            self.optimizer.state[parameter][entry] = value
        self.restore_state(state)

    def restore_state(self, state: dict[str, Any]) -> None:
        """Progress and schedule alone, as ``state()`` gave them."""
        self.progress = Progress(**state["progress"])
        self.schedule.restore(state["schedule"])
