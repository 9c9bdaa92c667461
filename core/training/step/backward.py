"""All of a step but the update: loss, gradients and their norm, without waiting for the device.

Nothing here reads a number from the device, so it can be captured into a graph, and the host runs
ahead. Whether to skip the update of a non-finite step is also decided on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.data.batches import Batch, augmented, micro_batches, to_unit_range
from core.evaluation.predict import Placement
from core.model.compiler_cache import own_compiler_cache
from core.model.precision import Precision, autocast
from core.recipe import Recipe
from core.training.objectives import Objective

LossOf = Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor]


@dataclass(frozen=True)
class Outcome:
    """On the device: mean loss and gradient norm, and 1 where either is not finite, else 0."""

    loss_and_norm_2: Tensor
    not_finite: Tensor


class RunningStatistics:
    """Batch norm statistics of a network, as one tensor."""

    def __init__(self, model: nn.Module) -> None:
        self._buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]

    def copy(self) -> Tensor:
        """All of them, concatenated."""
        if not self._buffers:
            return torch.empty(0)
        return torch.cat([buffer.flatten() for buffer in self._buffers])

    def put_back(self, flat: Tensor) -> None:
        """Restore what :meth:`copy` returned."""
        if self._buffers:
            pieces = torch.split(flat, [buffer.numel() for buffer in self._buffers])
            shaped = [
                piece.view_as(buffer) for piece, buffer in zip(pieces, self._buffers, strict=True)
            ]
            torch._foreach_copy_(self._buffers, shaped)  # a few kernels instead of hundreds

    def put_back_where(self, condition: Tensor, before: Tensor) -> None:
        """Restore those of before, if the condition holds on the device."""
        if self._buffers:
            self.put_back(torch.where(condition, before, self.copy()))


class Backward:
    """Loss and gradients of a batch, in pieces if necessary; gradients are in ``.grad``."""

    def __init__(
        self, model: nn.Module, objective: Objective, placement: Placement, recipe: Recipe
    ) -> None:
        self.model = model
        self.placement = placement
        self.objective, self._recipe = objective, recipe
        self.parameters = [item for item in model.parameters() if item.requires_grad]
        self.statistics = RunningStatistics(model)
        self._clip_norm = recipe.train.clip_norm
        self._loss_of: LossOf = _loss_of(model, objective, placement, recipe)

    def compiled(self, backend: str) -> Backward:
        """The same with a compiled network; another batch size compiles again."""
        other = self.on_copy(self.model)
        own_compiler_cache()
        other._loss_of = torch.compile(other._loss_of, dynamic=False, backend=backend)
        return other

    def on_copy(self, model: nn.Module) -> Backward:
        """The same for a copy of the network."""
        return Backward(model, self.objective, self.placement, self._recipe)

    def one_precision_up(self, model: nn.Module) -> Backward:
        """The same for a copy of the network, in fp32 if this is in bf16, else in float64."""
        if not self.placement.precision.is_bf16:
            model = model.double()
        exact = Placement(self.placement.device, Precision("fp32", "to compare with"))
        return Backward(model, self.objective, exact, self._recipe)

    def __call__(self, batch: Batch, size: int) -> Outcome:
        """A batch in micro-batches of at most ``size``; after an error nothing has changed."""
        before = self.statistics.copy()
        return self.outcome(self.accumulate(batch, size, before), before)

    def work(self, batch: Batch) -> Outcome | Tensor:
        """All in one pass: the outcome, or the loss of one rank's piece, whose gradients are yet to
        be summed.

        Gradients are in ``.grad`` afterwards.
        """
        if batch.step_labels_SF is None:
            return self(batch, len(batch))
        return self.accumulate(batch, len(batch), self.statistics.copy())

    def accumulate(self, batch: Batch, size: int, before: Tensor) -> Tensor:
        """Compute gradients of the batch; returns its mean loss over known labels.

        After an error the batch norm statistics are restored to ``before``.
        """
        for parameter in self.parameters:
            parameter.grad = None
        try:
            return self._accumulate(batch, size)
        except BaseException:
            self.statistics.put_back(before)
            for parameter in self.parameters:
                parameter.grad = None
            raise

    def outcome(self, loss: Tensor, before: Tensor) -> Outcome:
        """What the update needs; statistics are restored to ``before`` if something isn't
        finite."""
        norm = nn.utils.get_total_norm(self.gradients())
        if self._clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self._clip_norm, norm)
        is_finite = loss.isfinite() & norm.isfinite()
        # The forward pass has already put NaN into the batch norm statistics.
        self.statistics.put_back_where(~is_finite, before)
        return Outcome(torch.stack([loss, norm]), (~is_finite).float())

    def gradients(self) -> list[Tensor]:
        """One for each parameter that has one."""
        return [item.grad for item in self.parameters if item.grad is not None]

    def _accumulate(self, batch: Batch, size: int) -> Tensor:
        """Backward over the batch; returns its share of the mean loss over the step's known
        labels."""
        device = self.placement.device
        labels_BF = batch.labels_BF.to(device, non_blocking=True)
        of_step_SF = labels_BF
        if batch.step_labels_SF is not None:
            of_step_SF = batch.step_labels_SF.to(device, non_blocking=True)
        known = (~of_step_SF.isnan()).sum().clamp(min=1)
        total = torch.zeros((), device=device)
        for piece in micro_batches(len(batch), size):
            pixels_BHW = batch.pixels_BHW[piece].to(device, non_blocking=True)
            draws_B5 = None
            if batch.draws_B5 is not None:
                draws_B5 = batch.draws_B5[piece].to(device, non_blocking=True)
            loss = self._loss_of(pixels_BHW, labels_BF[piece], draws_B5, known)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        return total


def _loss_of(
    model: nn.Module, objective: Objective, placement: Placement, recipe: Recipe
) -> LossOf:
    """Bytes, labels, draws and the batch's known labels -> this piece's share of the mean loss."""
    augment = recipe.augment
    dtype = next(model.parameters()).dtype  # float32, except in a reference network

    def loss_of(
        pixels_BHW: Tensor, labels_BF: Tensor, draws_B5: Tensor | None, known: Tensor
    ) -> Tensor:
        pixels_B1HW = to_unit_range(pixels_BHW)
        if draws_B5 is not None:
            pixels_B1HW = augmented(pixels_B1HW, draws_B5, augment)
        with autocast(placement.precision, placement.device):
            logits_BF = model(pixels_B1HW.to(dtype))
        return objective.losses(logits_BF, labels_BF).sum() / known

    return loss_of
