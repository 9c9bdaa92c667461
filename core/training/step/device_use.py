"""What a device offers besides computing: memory for the images, and faster kinds of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from core.data.batches import Batch, Part, augments, training_batches
from core.data.resident import ResidentImages, hold_images, parts_that_fit
from core.events import DatasetProgress, Event, ImagesHeld, StepChosen, Warned
from core.model.memory import give_back_memory
from core.training.distributed.ranks import STEP_MADE, TakeStep
from core.training.step.engines import made_engine
from core.training.step.step_choice import Make, StepChoice, choose_step
from core.training.trainer import Trainer

Record = Callable[[Event], None]

HELD_PARTS = ("train", "val")
"""The parts that each epoch reads; the test part is read once."""


def hold_parts(
    trainer: Trainer,
    parts: dict[str, Part],
    free_bytes: int | None,
    may_go_on: Callable[[], bool],
    record: Record,
    *,
    images: Mapping[str, int] | None = None,
) -> dict[str, Part]:
    """The parts, with images of train and val on the device if they fit; train alone, or none.

    Args:
        trainer: its train part is replaced too.
        parts: by name.
        free_bytes: free memory of the device; None if the host's cache is as good.
        may_go_on: False if the run was asked to stop: then nothing is held.
        record: receives the result.
        images: number in each part, if these parts are samples of larger ones that have to fit.
    """
    share = trainer.settings.resident_share
    if free_bytes is None or not share:
        return parts
    size_px = trainer.recipe.image.size_px
    counts = [(images or {}).get(name, len(parts[name])) for name in HELD_PARTS]
    fit = HELD_PARTS[: parts_that_fit(counts, size_px, int(share * free_bytes))]
    if not fit:
        why = (
            f"those of train take {counts[0] * size_px**2 / 2**30:.1f} GiB, more than "
            f"{share:g} of the {free_bytes / 2**30:.1f} GiB that is free on the device"
        )
        record(_none_held(f"{why} (train.resident_share)"))
        return parts
    try:
        resident = _held(trainer, [parts[name] for name in fit], may_go_on, record)
    except torch.OutOfMemoryError:
        give_back_memory(trainer.placement.device)
        record(_none_held("the device has less free memory than it reported"))
        return parts
    if resident is None:
        return parts
    parts = parts | {name: replace(parts[name], resident=resident) for name in fit}
    trainer.part = parts["train"]
    held = sum(len(parts[name]) for name in fit)
    text = f"{held:,} images of {' and '.join(fit)} in the device's memory"
    record(ImagesHeld(parts=fit, images=held, size_bytes=resident.size_bytes, text=text))
    return parts


def _none_held(why: str) -> ImagesHeld:
    text = f"images are read from the cache: {why}"
    return ImagesHeld(parts=(), images=0, size_bytes=0, text=text)


def _held(
    trainer: Trainer, parts: list[Part], may_go_on: Callable[[], bool], record: Record
) -> ResidentImages | None:
    def progress(done: int, total: int) -> bool:
        record(DatasetProgress(stage="copying images to the device", done=done, total=total))
        return may_go_on()

    rows = [part.cache_rows_N for part in parts]
    return hold_images(parts[0].cache, rows, trainer.placement.device, progress)


def take_best_step(
    trainer: Trainer,
    record: Record,
    make: Make = made_engine,
    *,
    steps: int | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> StepChoice:
    """Choose how the run's steps are executed, and report it if there was a choice.

    Rank 0 chooses for all; if another rank can't do it, all take eager steps.

    Args:
        trainer: gets the engine.
        record: receives the result.
        make: makes an engine of a kind.
        steps: of the whole run, if the trainer's part is a sample of it.
        may_go_on: False if the run was asked to stop while other ranks get ready.

    Raises:
        StoppedError: it was asked to stop then.
    """
    choice = _choice(trainer, record, make, steps)
    trainer.train_step.engine = choice.engine
    if choice.engine is not None and trainer.ranks.size > 1:
        trainer.ranks.broadcast(TakeStep(choice.kind))
        trainer.ranks.wait_for(STEP_MADE, may_go_on)
        if not agree_on_step(trainer):
            why = f"the {choice.kind} step doesn't work in another process"
            failed = "; ".join(filter(None, (choice.failed, why)))
            choice = replace(
                choice, kind="eager", reason=why, engine=None, gain=None, failed=failed
            )
    give_back_memory(trainer.placement.device)  # of the networks it was compared with
    asked = trainer.settings.step
    if choice.failed:
        record(Warned(message=f"{choice.failed}; steps are {choice.kind}"))
    elif asked not in ("auto", choice.kind):
        record(
            Warned(message=f"train.step = {asked}, but steps are {choice.kind}: {choice.reason}")
        )
    if asked != "auto" or trainer.placement.device.type == "cuda":
        record(
            StepChosen(
                kind=choice.kind, reason=choice.reason, gain=choice.gain, seconds=choice.seconds
            )
        )
    return choice


def make_told_step(trainer: Trainer, kind: str, make: Make = made_engine) -> None:
    """On every rank but the first: make a step of this kind, if it is correct here too."""
    trainer.model.train()
    choice = choose_step(
        trainer.train_step.backward, _first_piece(trainer), asked=kind, steps=0, make=make
    )
    trainer.train_step.engine = choice.engine
    give_back_memory(trainer.placement.device)


def agree_on_step(trainer: Trainer) -> bool:
    """Whether every rank can take its step; every rank has to call this. If not, none does."""
    if trainer.ranks.any(trainer.train_step.engine is None):
        trainer.train_step.engine = None
    return trainer.train_step.engine is not None


def _choice(trainer: Trainer, record: Record, make: Make, steps: int | None) -> StepChoice:
    settings, progress = trainer.settings, trainer.progress
    if settings.step == "eager":
        return StepChoice("eager", "the recipe asks for it")
    at_once = trainer.images_at_once
    if at_once < settings.batch_size // trainer.ranks.size:
        return StepChoice("eager", f"batches are split into micro-batches of {at_once} images")
    if len(trainer.part) < settings.batch_size:
        return StepChoice("eager", "there is no full batch")
    if settings.step == "auto" and trainer.placement.device.type != "cuda":
        return StepChoice("eager", "compiling pays off only on CUDA")
    stage = "comparing steps: a compiler may take minutes"
    record(DatasetProgress(stage=stage, done=0, total=None))
    if steps is None:
        left = (settings.epochs - progress.epoch + 1) * trainer.steps_per_epoch
        steps = max(0, left - progress.step_in_epoch)
    trainer.model.train()
    return choose_step(
        trainer.train_step.backward,
        _first_piece(trainer),
        asked=settings.step,
        steps=steps,
        make=make,
    )


def _first_piece(trainer: Trainer) -> Batch:
    """This rank's piece of the first batch of the epoch."""
    return next(
        training_batches(
            trainer.part,
            seed=trainer.settings.seed,
            epoch=trainer.progress.epoch,
            batch_size=trainer.settings.batch_size,
            augment=augments(trainer.recipe.augment),
            piece=trainer.own_piece,
        )
    )
