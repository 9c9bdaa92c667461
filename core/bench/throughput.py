"""How fast a recipe trains on this machine, measured with a few steps of the real trainer.

Imports torch: call it on a thread, after the first paint.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.data.cache.cache import ImageCache, open_cache
from core.data.images.image_file import ImageFile
from core.errors import CxrError, RunFailedError
from core.model.input_spec import GREY, IMAGENET, SQUASH
from core.recipe import NO_WEIGHTS, Recipe

if TYPE_CHECKING:
    from core.training.trainer import Trainer

TIMED_STEPS = 3
LONGEST_SECONDS = 20.0
"""After this time no further step starts, even if fewer were timed."""

_IMAGE = "measured.png"


@dataclass(frozen=True)
class Throughput:
    """Images per second in training and in scoring; ``peak_bytes`` of device memory."""

    device: str
    precision: str
    train_images_per_second: float
    score_images_per_second: float
    peak_bytes: int | None

    def epoch_seconds(self, images: Mapping[str, int]) -> float:
        """Duration of an epoch with its validation."""
        return (
            images["train"] / self.train_images_per_second
            + images["val"] / self.score_images_per_second
        )


def throughput_depends_on(recipe: Recipe) -> tuple[object, ...]:
    """The settings that throughput depends on; if one changes, measure again."""
    train = recipe.train
    return (
        *(recipe.image, recipe.augment, len(recipe.dataset.findings)),
        *(recipe.model.weights == NO_WEIGHTS, train.batch_size, train.micro_batch_size),
        *(train.optimizer, train.loss, train.precision, train.clip_norm),
    )


def measured_throughput(
    recipe: Recipe, device: str, should_stop: Callable[[], bool]
) -> Throughput | None:
    """Run a warm-up step and up to three timed ones on one synthetic image; None if stopped.

    Raises:
        CxrError: no such device, or a step of this batch and image size fails.
    """
    import torch

    try:
        with tempfile.TemporaryDirectory(prefix="cxr-tui-measure-") as folder:
            return _measured(recipe, device, _one_image(Path(folder), recipe), should_stop)
    except torch.OutOfMemoryError:
        raise RunFailedError(
            f"a step of {recipe.train.batch_size} images at {recipe.image.size_px} px does not fit "
            "in the device's memory",
            remedy="Lower train.batch_size, or set train.micro_batch_size.",
        ) from None
    except (RuntimeError, MemoryError, OSError) as error:
        if isinstance(error, CxrError):
            raise
        raise RunFailedError(f"the steps could not be measured ({error})") from error
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # a run that starts now needs the memory


def _one_image(folder: Path, recipe: Recipe) -> ImageCache:
    import numpy as np
    from PIL import Image

    path = folder / _IMAGE
    side_px = recipe.image.size_px
    pixels_SS = np.random.default_rng(0).integers(0, 256, (side_px, side_px), np.uint8)
    Image.fromarray(pixels_SS).save(path)
    file = ImageFile(_IMAGE, str(path))
    return open_cache(
        folder / "cache", {_IMAGE: file}, [_IMAGE], size_px=side_px, resize=SQUASH, threads=1
    )


def _measured(
    recipe: Recipe, request: str, cache: ImageCache, should_stop: Callable[[], bool]
) -> Throughput | None:
    import numpy as np
    import torch

    from core.data.batches import Part
    from core.evaluation.predict import Placement, predict_logits
    from core.model.densenet import build_model
    from core.model.device import choose_device
    from core.model.precision import choose_precision
    from core.training.trainer import Trainer

    choice = choose_device(request)
    precision = choose_precision(recipe.train.precision, choice.device)
    findings, batch_size = recipe.dataset.findings, recipe.train.batch_size
    num_images = batch_size * (1 + TIMED_STEPS)
    rng = np.random.default_rng(0)
    part = Part(
        name="measured",
        cache=cache,
        cache_rows_N=np.repeat(cache.rows_of([_IMAGE]), num_images),
        index_rows_N=np.arange(num_images),
        images_N=np.full(num_images, _IMAGE, dtype=object),
        patients_N=np.arange(num_images),
        labels_NF=rng.integers(0, 2, (num_images, len(findings))).astype(np.float32),
    )
    spec = GREY if recipe.model.weights == NO_WEIGHTS else IMAGENET
    placement = Placement(choice.device, precision)
    trainer = Trainer(build_model(findings, seed=0, input_spec=spec), part, recipe, placement)
    train_rate = _train_rate(trainer, should_stop)
    if train_rate is None:
        return None
    started = time.monotonic()
    logits_NF = predict_logits(
        trainer.model,
        part,
        placement,
        batch_size=batch_size,
        progress=lambda done: not should_stop(),
    )
    if logits_NF is None:
        return None
    is_cuda = choice.device.type == "cuda"
    return Throughput(
        device=choice.name,
        precision=precision.name,
        train_images_per_second=train_rate,
        score_images_per_second=num_images / (time.monotonic() - started),
        peak_bytes=torch.cuda.max_memory_allocated(choice.device) if is_cuda else None,
    )


def _train_rate(trainer: Trainer, should_stop: Callable[[], bool]) -> float | None:
    """Images per second, without the first step, which includes setup."""
    began = time.monotonic()
    after_warm_up, timed = began, 0
    steps = trainer.epoch_steps()
    try:
        for number, _ in enumerate(steps):
            trainer.outcomes.read()  # a step is done when its loss can be read
            now = time.monotonic()
            if should_stop():
                return None
            if number == 0:
                after_warm_up = now
            timed = number
            if now - began > LONGEST_SECONDS:
                break
    finally:
        steps.close()  # type: ignore[attr-defined]  # a generator: close ends its reader thread
    if timed == 0:  # so slow that only the warm-up was measured
        return trainer.settings.batch_size / (after_warm_up - began)
    return timed * trainer.settings.batch_size / (time.monotonic() - after_warm_up)
