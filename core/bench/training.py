"""Rates of training and scoring: a run's own loop, alternating with each of its parts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.bench.blocks import Blocks
from core.bench.memory import PeakMemory
from core.bench.parts import BareStep, OtherParts, first_batch
from core.bench.rounds import Progress, Rounds
from core.bench.turns import MOST_STEPS, LoopTurns
from core.data.batches import Part, steps_per_epoch
from core.evaluation.predict import Placement
from core.events import DatasetProgress, Event, Warned
from core.health.training_watch import TrainingWatch
from core.health.watch import HealthRecord
from core.model.densenet import ChestDenseNet
from core.model.memory import free_bytes
from core.recipe import Recipe
from core.requests import Request
from core.store.recorder import Recorder
from core.store.sessions import create_session
from core.training.context import RunContext
from core.training.control import Control
from core.training.fit import Fit
from core.training.step.device_use import hold_parts, take_best_step
from core.training.trainer import Trainer

ROUNDS = 4


@dataclass(frozen=True)
class Taken:
    """How a run on the whole data set would train on this device.

    Attributes:
        step: eager, compiled or graph.
        reason: why, a sentence without a full stop.
        held: parts whose images fit in the device's memory.
        notices: engines that were tried and can't be used.
    """

    step: str
    reason: str
    held: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRates:
    """Images per second, all measured in the same rounds.

    Attributes:
        loop: training as in a run.
        step: the bare training step, the loop's upper limit.
        validation: scoring.
        cache: reading batches from the cache on one thread.
        augmentation: from a batch's bytes to the network's input.
        waiting_share: share of the loop's time spent waiting for batches.
        steps: number in a block.
        micro_batch_size: images processed together, if memory allows fewer than a batch.
        taken: the run's kind of step, and where its images were.
        peak_host_bytes, peak_device_bytes: peak memory of this process in training, including the
            bare step's copy of the network; None if unknown.
    """

    loop: Blocks
    step: Blocks
    validation: Blocks
    cache: Blocks
    augmentation: Blocks
    waiting_share: float
    steps: int
    micro_batch_size: int | None
    taken: Taken
    peak_host_bytes: int | None
    peak_device_bytes: int | None

    @property
    def data_share(self) -> float:
        """Share of the loop's time spent on data: waiting, transfer to the device, augmentation."""
        return self.waiting_share + self.loop.median / self.augmentation.median


def measure_training(
    recipe: Recipe,
    network: ChestDenseNet,
    placement: Placement,
    parts: dict[str, Part],
    images: Mapping[str, int],
    folder: Path,
    *,
    block_seconds: float,
    rounds: Rounds,
) -> TrainingRates:
    """Train for some blocks of steps, in a temporary session under ``folder``.

    Args:
        recipe: the run's settings.
        network: the network to train; its weights change.
        placement: device and precision.
        parts: ``train`` and ``val``; repeated if shorter than the measurement.
        images: number in the whole train and val parts, of which these may be samples.
        folder: for the session.
        block_seconds: approximate length of a block of the loop and of the bare step.
        rounds: reports progress, and may end the measurement at any step.

    Raises:
        CxrError: any error that would end a run, and what ``rounds`` raises.
    """
    size = recipe.train.batch_size
    parts = {
        "train": repeated(parts["train"], (ROUNDS + 1) * MOST_STEPS * size),
        "val": repeated(parts["val"], MOST_STEPS * size),
    }
    memory = PeakMemory(placement.device)
    trainer = Trainer(network, parts["train"], recipe, placement)
    parts, taken = made_ready(trainer, parts, images, rounds.progress)
    val = parts["val"]
    batch = first_batch(trainer)
    others = OtherParts(trainer, val, BareStep(trainer, batch), batch, block_seconds)
    rates: dict[str, list[float]] = {"step": [], "validation": [], "cache": [], "augmentation": []}

    def measure_others(round_done: int) -> None:
        found = {
            "step": others.step(turns.steps if round_done else 1),
            "validation": others.validation(),
            "cache": others.cache(),
            "augmentation": others.augmentation(),
        }
        if round_done:  # the first round was a warm-up
            for name, rate in found.items():
                rates[name].append(rate)
        if round_done < ROUNDS:
            rounds.begin()

    turns = LoopTurns(trainer, ROUNDS, block_seconds, measure_others, rounds.check)
    train_until_told(trainer, val, folder, turns.next_request)
    return TrainingRates(
        loop=Blocks(tuple(turns.images_per_second)),
        **{name: Blocks(tuple(values)) for name, values in rates.items()},
        waiting_share=turns.seconds_waited / turns.seconds,
        steps=turns.steps,
        micro_batch_size=trainer.progress.micro_batch_size,
        taken=taken,
        peak_host_bytes=memory.host_bytes(),
        peak_device_bytes=memory.device_bytes(),
    )


def made_ready(
    trainer: Trainer, parts: dict[str, Part], images: Mapping[str, int], progress: Progress
) -> tuple[dict[str, Part], Taken]:
    """Parts and trainer as at the first step of a run on this many images."""
    notices: list[str] = []

    def record(event: Event) -> None:
        if isinstance(event, DatasetProgress):
            progress(event.stage, event.done, event.total)
        elif isinstance(event, Warned):
            notices.append(event.message)

    free = free_bytes(trainer.placement.device)
    parts = hold_parts(trainer, parts, free, lambda: True, record, images=images)
    settings = trainer.settings
    steps = settings.epochs * steps_per_epoch(images["train"], settings.batch_size)
    choice = take_best_step(trainer, record, steps=steps)
    held = tuple(name for name, part in parts.items() if part.resident is not None)
    return parts, Taken(choice.kind, choice.reason, held, tuple(notices))


def train_until_told(
    trainer: Trainer, val: Part, folder: Path, next_request: Callable[[], Request]
) -> None:
    """A run's training loop alone, until it is asked to stop."""
    session = create_session(folder, trainer.recipe, "bench")
    with Recorder(session, lambda _: None) as record:
        control = Control(next_request, record.writer.take_request, record)
        labels_NF = torch.from_numpy(trainer.part.labels_NF)
        base_rate = trainer.host_objective.base_rate_loss(labels_NF)
        watch = TrainingWatch(HealthRecord(record), val, base_rate)
        context = RunContext(session, control, record, lambda write: write())
        Fit(trainer, val, context, {}, watch).run()


def repeated(part: Part, num_images: int) -> Part:
    """The part, repeated if it is smaller than ``num_images``."""
    rows = np.resize(np.arange(len(part)), max(num_images, len(part)))
    return part.only(rows)
