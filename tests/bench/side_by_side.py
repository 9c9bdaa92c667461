"""Our loop, our bare step, our validation and the plain script, in blocks that take turns."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from yardstick import Script, XrayFiles

from core.bench.blocks import Blocks
from core.bench.nih import ALL_IMAGES, TRAIN_VAL_IMAGES
from core.bench.parts import BareStep, OtherParts, first_batch
from core.bench.training import made_ready, repeated, train_until_told
from core.bench.turns import MOST_STEPS, LoopTurns
from core.data.batches import Part
from core.data.cache.cache import open_cache
from core.data.study.study import Study, prepare_study
from core.evaluation.predict import Placement
from core.model.densenet import build_model
from core.model.device import choose_device
from core.model.precision import choose_precision
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.training.preparation import part_of
from core.training.trainer import Trainer

_VALIDATION_BLOCK_SECONDS = 4.0


@dataclass(frozen=True)
class SideBySide:
    """Images a second, and shares of our loop's time."""

    device_name: str
    ours: Blocks
    step: Blocks
    validation: Blocks
    yardstick: Blocks
    data_share: Blocks


def nih_recipe(images: Path, *changes: str) -> Recipe:
    """The first run of the report, on what is there of the images, from fresh weights."""
    return load_recipe(
        "nih-14",
        [
            f"dataset.images={images}",
            "dataset.partial=true",
            "model.weights=none",
            *changes,
        ],
    )


def compare(
    images: Path,
    folder: Path,
    *,
    precision: str,
    rounds: int,
    steps: int,
    device: str,
    workers: int,
    batch_size: int = 16,
    step: str = "auto",
) -> SideBySide:
    """Train on the same images, as many steps a block; ``folder`` takes cache and session."""
    recipe = nih_recipe(
        images,
        f"train.precision={precision}",
        f"train.batch_size={batch_size}",
        f"train.step={step}",
    )
    chosen = choose_device(device)
    placement = Placement(chosen.device, choose_precision(precision, chosen.device))
    study = prepare_study(recipe, folder / "cache")
    train, val = _parts(study, folder)
    model = build_model(recipe.dataset.findings, seed=0)
    parts = {
        "train": repeated(train, (rounds + 1) * MOST_STEPS * batch_size),
        "val": repeated(val, MOST_STEPS * batch_size),
    }
    trainer = Trainer(model, parts["train"], recipe, placement)
    # A run on the official list, of which these images stand for all.
    whole = {"train": TRAIN_VAL_IMAGES, "val": ALL_IMAGES - TRAIN_VAL_IMAGES}
    parts, taken = made_ready(trainer, parts, whole, lambda *_: None)
    print(taken, file=sys.stderr, flush=True)
    many_val = parts["val"]
    batch = first_batch(trainer)
    block_seconds = 2 * _VALIDATION_BLOCK_SECONDS
    others = OtherParts(trainer, many_val, BareStep(trainer, batch), batch, block_seconds)
    script = Script(
        _files(study, train),
        batch_size=batch_size,
        workers=workers,
        num_findings=len(recipe.dataset.findings),
        device=str(chosen.device),
    )
    rates: dict[str, list[float]] = {name: [] for name in ("step", "val", "script", "data")}

    def measure_others(round_done: int) -> None:
        asked = steps if round_done else 1
        found = {
            "step": others.step(asked),
            "val": others.validation(),
            "script": script.images_per_second(asked),
            "data": others.augmentation(),
        }
        if round_done:
            found["data"] = turns.images_per_second[-1] / found["data"]
            for name, rate in found.items():
                rates[name].append(rate)

    turns = LoopTurns(trainer, rounds, 0.0, measure_others, steps=steps)
    train_until_told(trainer, many_val, folder / f"sessions-{precision}", turns.next_request)
    waited = turns.seconds_waited / turns.seconds
    return SideBySide(
        device_name=chosen.name,
        ours=Blocks(tuple(turns.images_per_second)),
        step=Blocks(tuple(rates["step"])),
        validation=Blocks(tuple(rates["val"])),
        yardstick=Blocks(tuple(rates["script"])),
        data_share=Blocks(tuple(share + waited for share in rates["data"])),
    )


def usable_workers() -> int:
    """As many as cores: what PyTorch's own warning tells people to use."""
    return len(os.sched_getaffinity(0))


def _parts(study: Study, folder: Path) -> tuple[Part, Part]:
    names = study.images_used()
    cache = open_cache(
        folder / "cache",
        study.index.files,
        names,
        size_px=study.recipe.image.size_px,
        resize="squash",
        max_quarantined_share=0.5,
    )
    train, val = (part_of(study, cache, part, study.rows(part)) for part in ("train", "val"))
    return train, val


def _files(study: Study, part: Part) -> XrayFiles:
    paths = [study.index.files[name].path for name in part.images_N]
    return XrayFiles(paths, part.labels_NF, size_px=study.recipe.image.size_px, train=True)
