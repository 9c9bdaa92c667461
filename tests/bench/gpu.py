"""What a device gives: steps of each kind, images held on it, updates, layouts; are they right.

    python tests/bench/gpu.py [--device cuda] [--size-px 224] [--batch-size 64]
    python tests/bench/gpu.py --parts first --search    beside the same without --search
    python tests/bench/gpu.py --small      minutes less, small images: to try it on a CPU

One line of JSON a part. DenseNet121 with fresh weights on random bytes; medians of a few blocks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch

from core.data.batches import Batch, Part, training_batches
from core.evaluation.predict import Placement, predict_logits
from core.findings import FINDINGS
from core.model.densenet import build_model
from core.model.device import choose_device, synchronize
from core.model.memory import free_bytes
from core.model.precision import choose_precision
from core.recipe import Recipe
from core.recipe_toml import checked_recipe
from core.training.objectives import make_optimizer
from core.training.step.device_use import hold_parts
from core.training.step.step_choice import StepChoice, choose_step
from core.training.trainer import Trainer

_BLOCKS = 5


class Mapped:
    """Random bytes in a memory map, in the place of a cache."""

    def __init__(self, folder: Path, images: int, size_px: int) -> None:
        self.size_px = size_px
        shape = (images, size_px, size_px)
        self._pixels_NSS = np.memmap(folder / "pixels", np.uint8, mode="w+", shape=shape)
        rng = np.random.default_rng(0)
        for row in range(images):
            self._pixels_NSS[row] = rng.integers(0, 256, shape[1:], dtype=np.uint8)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._pixels_NSS[rows])


def trainer_of(
    part: Part, placement: Placement, asked: argparse.Namespace, **train: Any
) -> Trainer:
    recipe: Recipe = checked_recipe(
        {
            "image": {"size_px": asked.size_px},
            "augment": {"rotate_deg": 5.0, "shift": 0.05},
            "train": {"batch_size": asked.batch_size, "learning_rate": 0.001} | train,
        },
        "bench",
    )
    return Trainer(build_model(FINDINGS, seed=0), part, recipe, placement)


def part_of(cache: Mapped, images: int) -> Part:
    rows = np.arange(images)
    labels_NF = (np.random.default_rng(1).random((images, len(FINDINGS))) < 0.1).astype(np.float32)
    names = np.array([f"{row}.png" for row in rows], dtype=object)
    return Part("train", cache, rows, rows, names, rows, labels_NF)  # type: ignore[arg-type]


def steps_of(trainer: Trainer) -> Iterator[Batch]:
    """Epoch after epoch, each step taken; none is waited for."""
    while True:
        for batch, _ in trainer.epoch_steps():
            yield batch
        trainer.finish_epoch()


def loop_rate(trainer: Trainer, steps: int) -> dict[str, Any]:
    """Images a second of the whole loop, in blocks, after a block that isn't timed."""
    device, rates = trainer.placement.device, []
    running = steps_of(trainer)
    for block in range(_BLOCKS + 1):
        synchronize(device)
        began, images = time.perf_counter(), 0
        for _ in range(steps):
            images += len(next(running))
        trainer.outcomes.read()
        synchronize(device)
        if block:
            rates.append(images / (time.perf_counter() - began))
    return spread(rates, "images_per_second")


def milliseconds(step: Callable[[], object], device: torch.device, times: int) -> dict[str, Any]:
    step()
    found = []
    for _ in range(times):
        synchronize(device)
        began = time.perf_counter()
        step()
        synchronize(device)
        found.append(1000 * (time.perf_counter() - began))
    return spread(found, "milliseconds")


def spread(values: list[float], what: str) -> dict[str, Any]:
    low, high = min(values), max(values)
    return {what: round(statistics.median(values), 2), "low": round(low, 2), "high": round(high, 2)}


def tell(part: str, **found: Any) -> None:
    print(json.dumps({"part": part, **found}), flush=True)


def kinds_of_steps(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """Each kind compared with the eager step, then the whole loop with it."""
    for kind in asked.kinds:
        trainer = trainer_of(part, placement, asked, step=kind)
        choice = take_engine(trainer, kind)
        found = {
            "asked": kind,
            "taken": choice.kind,
            "reason": choice.reason,
            "seconds": round(choice.seconds, 1),
        }
        if choice.kind == kind:
            found |= loop_rate(trainer, asked.steps)
            found["failed_on_its_way"] = choice.engine is not trainer.train_step.engine
        tell("step", **found)


def take_engine(trainer: Trainer, kind: str) -> StepChoice:
    """The engine of this kind, where it is as right as the eager step."""
    choice = StepChoice("eager", "asked for")
    if kind != "eager":
        trainer.model.train()
        batch = next(first_batches(trainer))
        choice = choose_step(trainer.train_step.backward, batch, asked=kind, steps=10**6)
    trainer.train_step.engine = choice.engine
    return choice


def first_step(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """What waits before the first step, then a graph's loop and scoring; see --search."""
    trainer = trainer_of(part, placement, asked)
    trainer.model.train()
    batch = next(first_batches(trainer))
    began = time.perf_counter()
    trainer.train_step.backward(batch, len(batch))
    synchronize(placement.device)
    seconds = round(time.perf_counter() - began, 2)
    choice = take_engine(trainer, "graph")
    found = loop_rate(trainer, asked.steps)
    began = time.perf_counter()
    predict_logits(trainer.model, part, placement, batch_size=trainer.scoring_batch_size)
    scored = round(len(part) / (time.perf_counter() - began), 1)
    tell("first step", seconds=seconds, step=choice.kind, scored_a_second=scored, **found)


def first_batches(trainer: Trainer) -> Iterator[Batch]:
    size = trainer.settings.batch_size
    return training_batches(trainer.part, seed=0, epoch=1, batch_size=size, augment=True)


def places_of_images(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """The loop on images from the cache and from the device, and whether losses are the same."""
    losses = {}
    for where in ("cache", "device"):
        trainer = trainer_of(part, placement, asked)
        if where == "device":
            room = free_bytes(placement.device) or 2 * part.cache.size_px**2 * len(part)
            parts = {"train": part, "val": part}  # rows of both are held once
            hold_parts(trainer, parts, room, lambda: True, lambda _event: None)
        if placement.device.type == "cuda":
            take_engine(trainer, "graph")  # the eager step is as slow as the host
        results = [result for _, (_, result) in zip(range(5), trainer.epoch_steps(), strict=False)]
        losses[where] = [result.loss for result in results]
        held = trainer.part.resident is not None
        tell("images", where=where, held=held, **loop_rate(trainer, asked.steps))
    off = max(abs(one - two) for one, two in zip(losses["cache"], losses["device"], strict=True))
    tell("images", largest_difference_of_losses=off)


def optimizers(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """The update alone."""
    for name in ("sgd", "adamw"):
        for fused in (True, False):
            trainer = trainer_of(part, placement, asked, optimizer=name)
            batch = next(first_batches(trainer))
            trainer.model.train()
            trainer.train_step.backward(batch, len(batch))
            optimizer = make_optimizer(trainer.model, trainer.settings, fused=fused)
            found = milliseconds(optimizer.step, placement.device, 15)
            tell("update", optimizer=name, fused=fused, **found)


def layouts(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """Loss and gradients alone, each precision in both layouts."""
    for name in ("fp32", "bf16"):
        for layout in (torch.contiguous_format, torch.channels_last):
            precision = choose_precision(name, placement.device)
            trainer = trainer_of(part, Placement(placement.device, precision), asked)
            trainer.model.to(memory_format=layout).train()  # type: ignore[call-overload]
            batch = next(first_batches(trainer))
            found = milliseconds(
                lambda t=trainer, b=batch: t.train_step.backward(b, len(b)),
                placement.device,
                asked.layout_steps,
            )
            rate = round(1000 * len(batch) / found["milliseconds"], 2)
            tell("layout", precision=name, layout=str(layout), images_per_second=rate, **found)


def waiting(part: Part, placement: Placement, asked: argparse.Namespace) -> None:
    """Twenty steps in which CUDA refuses every wait of the host for the device."""
    if placement.device.type != "cuda":
        tell("waits", checked=False, why="only CUDA tells")
        return
    trainer = trainer_of(part, placement, asked)
    running = steps_of(trainer)
    next(running)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            next(running)
        tell("waits", checked=True, waits=0)
    except RuntimeError as error:
        tell("waits", checked=True, why=str(error).splitlines()[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")


PARTS = {
    "first": first_step,
    "steps": kinds_of_steps,
    "images": places_of_images,
    "updates": optimizers,
    "layouts": layouts,
    "waits": waiting,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=60, help="of a block")
    parser.add_argument("--layout-steps", type=int, default=9)
    parser.add_argument("--kinds", nargs="+", default=["eager", "graph", "compiled"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true")
    # Of the whole process: what was once taken for a convolution may be kept, searched or not.
    parser.add_argument("--search", action="store_true", help="cuDNN tries its convolutions")
    asked = parser.parse_args()
    torch.backends.cudnn.benchmark = asked.search
    if asked.small:
        asked.size_px, asked.batch_size, asked.images, asked.steps = 64, 8, 64, 2
        asked.layout_steps = 3
    choice = choose_device(asked.device)
    precision = choose_precision("auto", choice.device)
    tell(
        "machine",
        device=choice.name,
        precision=precision.name,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
        size_px=asked.size_px,
        batch_size=asked.batch_size,
        search=asked.search,
    )
    with tempfile.TemporaryDirectory() as folder:
        part = part_of(Mapped(Path(folder), asked.images, asked.size_px), asked.images)
        for name in asked.parts:
            PARTS[name](part, Placement(choice.device, precision), asked)


if __name__ == "__main__":
    main()
