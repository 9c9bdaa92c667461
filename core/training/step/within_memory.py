"""A step's loss and gradients, by whatever the memory allows: what fails gives way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.data.batches import Batch, micro_batches
from core.model.memory import (
    give_back_memory,
    is_host_limited,
    is_out_of_memory,
    memory_errors_named,
)
from core.recipe import NETWORK_STRIDE_PX, Recipe
from core.training.distributed.ranks import RankLostError
from core.training.step.backward import Outcome
from core.training.step.engines import ENGINE_ERRORS, in_a_line

if TYPE_CHECKING:
    from core.training.trainer import Trainer


def fewest_at_once(recipe: Recipe) -> int:
    """Below two map cells a lone image has one value a channel, and no batch statistics."""
    return 1 if recipe.image.size_px >= 2 * NETWORK_STRIDE_PX else 3


def _remedy(device: torch.device) -> str:
    if device.type != "cpu":
        return "Lower image.size_px, or use a larger GPU."
    limit = "ulimit -v" if is_host_limited() else "of this machine or container"
    return f"Lower image.size_px, or allow more memory ({limit})."


class WithinMemory:
    """Takes a trainer's steps up to their update; its engine, its images and its size give way."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._notices: list[str] = []
        self._failed = ""
        """How this rank's engine failed, until it is given up."""

    def notices(self) -> tuple[str, ...]:
        """What was given up since the last question, one sentence each."""
        notices, self._notices = tuple(self._notices), []
        return notices

    def outcome(self, batch: Batch) -> Outcome:
        """Loss and gradients; where memory runs out, again in micro-batches half as large.

        Where it runs out on one rank, all do it again.

        Raises:
            RunFailedError: it ran out with the smallest micro-batch there can be.
            RankLostError: another rank is gone; statistics are as before.
        """
        trainer, backward = self._trainer, self._trainer.backward
        pieces = [piece.stop - piece.start for piece in trainer.pieces(len(batch.labels_of_step()))]
        while True:
            asked = trainer.settings.micro_batch_size or trainer.settings.batch_size
            size = min(asked, trainer.progress.micro_batch_size or asked, max(pieces))
            before = backward.statistics.copy()
            trainer.exchange.begin()
            found = self._tried(batch, size, before)
            if isinstance(found, Outcome):
                return found
            try:
                if not trainer.ranks.any(found is None) and found is not None:
                    passes = [len(micro_batches(piece, size)) for piece in pieces]
                    return backward.outcome(trainer.exchange.summed(found, passes), before)
            except RankLostError:
                backward.statistics.put_back(before)  # a checkpoint of the step before is next
                raise
            # In a call of its own, where the error no longer holds on to the activations.
            self._fall_back(size, before, is_ours=found is None)

    def _tried(self, batch: Batch, size: int, before: Tensor) -> Outcome | Tensor | None:
        """By the engine, all that an update needs; of a piece, or else, the loss and gradients.

        None where it failed, and giving something up may do.
        """
        trainer = self._trainer
        engine = trainer.engine if trainer.engine and trainer.engine.takes(batch, size) else None
        try:
            if engine is not None:
                return engine(batch)
            return trainer.backward.accumulate(batch, size, before)
        except ENGINE_ERRORS as error:
            if engine is not None:
                self._failed = f"{engine.kind} step failed: {in_a_line(error)}"
                return None
            if not is_out_of_memory(error):
                raise
            if not self._has_more_to_give() and size // 2 < fewest_at_once(trainer.recipe):
                with memory_errors_named(remedy=_remedy(trainer.placement.device)):
                    raise
        return None

    def _has_more_to_give(self) -> bool:
        """Besides micro-batches; ranks give up together what all of them have."""
        trainer = self._trainer
        return trainer.engine is not None or (trainer.ranks.size == 1 and self._holds())

    def _holds(self) -> bool:
        resident = self._trainer.part.resident
        return resident is not None and resident.size_bytes > 0

    def _fall_back(self, size: int, before: Tensor, *, is_ours: bool) -> None:
        """The engine and the images on the device first, which are for speed alone.

        An engine holds the memory of a whole batch, which eager steps can't use. Every rank has one
        or none has, so that all take pieces of the same size.
        """
        trainer = self._trainer
        if trainer.engine is not None:
            ran_out = "memory ran out" if is_ours else "a step failed on another process"
            failed = f"the {self._failed}" if self._failed else ran_out
            self._notices.append(f"{failed}; steps are eager now")
            trainer.engine, self._failed = None, ""
        elif trainer.part.resident is not None and self._holds():
            self._notices.append("memory ran out: images are read from the cache from now on")
            trainer.part.resident.release()
            if trainer.ranks.size > 1:  # on another rank it may have run out without any
                trainer.progress.micro_batch_size = size // 2
        else:
            trainer.progress.micro_batch_size = size // 2
        trainer.backward.statistics.put_back(before)  # where it was another rank that failed
        give_back_memory(trainer.placement.device)
