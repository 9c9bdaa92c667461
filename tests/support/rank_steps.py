"""Steps of two ranks without a session, for tests: one line of JSON on rank 0's stdout.

Started by torchrun. Both ranks call each step by themselves, as no session leads them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import numpy as np
import torch
from parts import part_of
from stand_ins import recorded_on_the_host

from core.data.batches import Batch, Part
from core.evaluation.predict import Placement
from core.model.densenet import build_model
from core.model.precision import Precision
from core.recipe_toml import checked_recipe
from core.training.distributed.meeting import Meeting
from core.training.distributed.ranks import ALONE, Ranks, launch_of
from core.training.scoring import score_share
from core.training.step.backward import Backward
from core.training.step.device_use import agree_on_step, make_told_step, take_best_step
from core.training.step.engines import Graphed, Work
from core.training.trainer import Trainer

FINDINGS = ["Mass", "Effusion"]
MEMORY_FOR = 3


def memory_part() -> Part:
    """35 images: batches of 10, 10, 10 and 5; a third of the labels is unknown."""
    rng = np.random.default_rng(0)
    labels_NF = rng.choice(np.array([0, 1, np.nan], dtype=np.float32), (35, 2))
    return part_of("train", rng.integers(0, 255, (35, 64, 64), dtype=np.uint8), labels_NF)


def trainer_of(ranks: Ranks, micro_batch_size: int | None) -> Trainer:
    """SGD with momentum at 64 px, batches of ten."""
    train = {"step": "graph", "batch_size": 10, "learning_rate": 0.01, "precision": "fp32"}
    if micro_batch_size is not None:
        train["micro_batch_size"] = micro_batch_size
    settings = {"image": {"size_px": 64}, "dataset": {"findings": FINDINGS}, "train": train}
    recipe = checked_recipe(settings, "test")
    placement = Placement(torch.device("cpu"), Precision("fp32", "a test"))
    return Trainer(build_model(FINDINGS, seed=0), memory_part(), recipe, placement, ranks)


def losses_of(trainer: Trainer, epochs: int = 5) -> list[float]:
    """The loss of each step of so many epochs of four."""
    losses = []
    for _ in range(epochs):
        losses += [result.loss for _, result in trainer.epoch_steps()]
        trainer.finish_epoch()
    return losses


def scarce(trainer: Trainer) -> Trainer:
    """With memory for a few images at a time."""

    def more_than_there_is(_network: object, arguments: tuple[torch.Tensor]) -> None:
        if len(arguments[0]) > MEMORY_FOR:
            torch.empty(2**60, dtype=torch.uint8)  # the allocator's own refusal

    trainer.model.register_forward_pre_hook(more_than_there_is)
    return trainer


def poisoned_step(trainer: Trainer, *, poison: bool) -> tuple[bool, float]:
    """One step, with an activation that is not finite where asked; whether weights changed."""

    def spoil(_network: object, _arguments: object, logits_BF: torch.Tensor) -> torch.Tensor:
        return logits_BF * float("nan") if poison else logits_BF

    hook = trainer.model.register_forward_hook(spoil)
    steps = trainer.epoch_steps()
    _, result = next(steps)
    steps.close()  # type: ignore[attr-defined]  # a generator
    hook.remove()
    return result.updated, float(sum(item.abs().sum() for item in trainer.model.buffers()))


def recorded(trainer: Trainer, fails_at: int | None = None, *, at_once: bool = False) -> Trainer:
    """With its step in a stand-in for a graph, which may fail once, or already when it is compared.

    Rank 0 chooses it, and the other hears of its kind.
    """
    calls, counts = 0, at_once

    def make(kind: str, backward: Backward, batch: Batch) -> Graphed:
        record = recorded_on_the_host(backward.parameters)

        def capture(function: Callable[[], Work]) -> tuple[Work, Callable[[], None]]:
            work, replay = record(function)

            def failing() -> None:
                nonlocal calls
                calls += counts
                if counts and calls == fails_at:
                    raise RuntimeError("a bad launch")
                replay()

            return work, failing

        return Graphed(backward, batch, capture, kind)

    if trainer.ranks.rank == 0:
        take_best_step(trainer, lambda _: None, make)
    else:
        make_told_step(trainer, "graph", make)
        agree_on_step(trainer)
    counts = True
    return trainer


def main() -> None:
    """Everything once."""
    launch = launch_of(os.environ)
    team = None
    if launch is not None:
        team = Meeting(launch, b"of a test", None, lambda: False, lambda _: None).held()
    ranks: Ranks = ALONE
    if team is not None:
        ranks = team
        team.broadcast = lambda command: None  # type: ignore[method-assign]
        team.wait_for = lambda stage, may_go_on: None  # type: ignore[method-assign]
    plain = trainer_of(ranks, None)
    told = {"losses": losses_of(plain)}
    logits_NF = score_share(plain, plain.part)
    told["logits"] = logits_NF.tolist() if logits_NF is not None else None
    by_graph = recorded(trainer_of(ranks, None))
    told["losses_by_graph"] = losses_of(by_graph, 2)
    told["has_graph"] = by_graph.train_step.engine is not None
    failing = recorded(trainer_of(ranks, None), fails_at=3 if ranks.rank == 1 else None)
    told["had_graph"] = failing.train_step.engine is not None
    told["losses_by_graph_that_fails"] = losses_of(failing, 2)
    told["still_has_graph"] = failing.train_step.engine is not None
    told["micro_batch_after_graph"] = failing.progress.micro_batch_size
    refused = recorded(trainer_of(ranks, None), 1 if ranks.rank == 1 else None, at_once=True)
    told["has_graph_that_one_refuses"] = refused.train_step.engine is not None
    short = trainer_of(ranks, None)
    told["losses_short_of_memory"] = losses_of(scarce(short) if ranks.rank == 1 else short, 1)
    told["micro_batch_size"] = short.progress.micro_batch_size
    told["poisoned"] = poisoned_step(short, poison=ranks.rank == 1)
    told["next"] = poisoned_step(short, poison=False)
    if ranks.rank == 0:
        sys.stdout.write(json.dumps(told) + "\n")
    if team is not None:
        team.leave(0)


if __name__ == "__main__":
    main()
