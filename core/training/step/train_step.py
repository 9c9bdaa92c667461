"""One training step, from a batch to new weights; reads from top to bottom.

Each rank takes the step with its own piece of the batch, and all end up with the same weights. The
host does not wait for the device, unless the optimiser has no kernel that can skip its update.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.data.batches import Batch, micro_batches
from core.data.resident import ResidentImages
from core.model.memory import give_back_memory, is_out_of_memory
from core.recipe import Recipe
from core.training.distributed.exchange import Exchange, pieces_of
from core.training.distributed.ranks import RankLostError, Ranks, Step
from core.training.objectives import is_fused
from core.training.progress import Progress
from core.training.step.backward import Backward, Outcome
from core.training.step.engines import ENGINE_ERRORS, Engine, in_a_line
from core.training.step.fallback import Fallback


class TrainStep:
    """Takes optimiser steps of one network.

    Attributes:
        backward: computes loss and gradients.
        optimizer: updates the weights.
        engine: computes loss and gradients of a whole piece faster than eager code, or None.
    """

    def __init__(
        self, backward: Backward, optimizer: torch.optim.Optimizer, recipe: Recipe, ranks: Ranks
    ) -> None:
        self.backward, self.optimizer, self.ranks = backward, optimizer, ranks
        self.engine: Engine | None = None
        self._settings = recipe.train
        self._exchange = Exchange(backward.model, ranks)
        self._fallback = Fallback(recipe, ranks, backward.placement.device)

    def __call__(
        self, batch: Batch, rate: float, progress: Progress, images: ResidentImages | None
    ) -> Outcome:
        """Update the weights, unless loss or gradient is not finite.

        Args:
            batch: this rank's piece of the batch.
            rate: learning rate of this step.
            progress: its ``micro_batch_size`` is lowered when memory runs out.
            images: held on the device; released when memory runs out.

        Raises:
            RunFailedError: memory ran out with the smallest possible micro-batch.
            RankLostError: another rank is gone; statistics are as before.
        """
        self.ranks.broadcast(Step())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not self.backward.model.training:
            self.backward.model.train()
        outcome = self._loss_and_gradients(batch, progress, images)
        self._update(outcome)
        return outcome

    def _loss_and_gradients(
        self, batch: Batch, progress: Progress, images: ResidentImages | None
    ) -> Outcome:
        """Of all ranks together; repeated with less memory if one of them fails."""
        num_images = len(batch.labels_of_step())
        pieces = pieces_of(num_images, self._settings.batch_size, self.ranks.size)
        lengths = [piece.stop - piece.start for piece in pieces]
        before = self.backward.statistics.copy()
        while True:
            size = min(progress.images_at_once(self._settings), max(lengths))
            self._exchange.begin()
            computed = self._computed(batch, size, before, images)
            if isinstance(computed, Outcome):
                return computed  # a single rank's engine did it all
            passes = [len(micro_batches(length, size)) for length in lengths]
            outcome = self._of_all_ranks(computed, passes, before)
            if outcome is not None:
                return outcome
            # Only after the call that caught the error, which referenced the activations.
            self._fall_back(size, progress, images, is_ours=computed is None)
            self.backward.statistics.put_back(before)  # needed if another rank failed
            give_back_memory(self.backward.placement.device)

    def _computed(
        self, batch: Batch, size: int, before: Tensor, images: ResidentImages | None
    ) -> Outcome | Tensor | None:
        """The loss of this rank's piece, with gradients in ``.grad``, or the whole outcome.

        None if it failed and there is something to fall back to.
        """
        engine = self.engine if self.engine and self.engine.takes(batch, size) else None
        try:
            if engine is not None:
                return engine(batch)
            return self.backward.accumulate(batch, size, before)
        except ENGINE_ERRORS as error:
            if engine is not None:
                self._fallback.engine_failure = f"{engine.kind} step failed: {in_a_line(error)}"
            elif not is_out_of_memory(error):
                raise
            elif self.engine is None:
                self._fallback.require_more(size, images, error)
        return None

    def _of_all_ranks(
        self, loss: Tensor | None, passes: list[int], before: Tensor
    ) -> Outcome | None:
        """The sum over the ranks' pieces; None if one of them failed."""
        try:
            if self.ranks.any(loss is None) or loss is None:
                return None
            return self.backward.outcome(self._exchange.summed(loss, passes), before)
        except RankLostError:
            self.backward.statistics.put_back(before)  # a checkpoint of the last step follows
            raise

    def _fall_back(
        self, size: int, progress: Progress, images: ResidentImages | None, *, is_ours: bool
    ) -> None:
        """Give up the engine first: it holds memory for a whole batch, which eager steps can't use.

        Either every rank has an engine or none has, so all take pieces of the same size.
        """
        if self.engine is not None:
            self.engine = None
            self._fallback.to_eager(is_ours=is_ours)
        else:
            self._fallback.to_less_memory(size, progress, images)

    def _update(self, outcome: Outcome) -> None:
        if is_fused(self.optimizer):
            # As a gradient scaler does: the kernel itself skips the update of weights and moments.
            self.optimizer.found_inf = outcome.not_finite  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not float(outcome.not_finite):  # without such a kernel the host waits here
            self.optimizer.step()

    def notices(self) -> tuple[str, ...]:
        """What was given up since the last call, a sentence each."""
        return self._fallback.notices()
