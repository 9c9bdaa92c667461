"""Stand-ins: a network that takes no time, caches of any size, a graph on the host."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.batches import Part
from core.data.cache.cache import open_cache
from core.data.images.image_file import ImageFile
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.training.step.backward import Outcome
from core.training.step.engines import Capture, Work

FINDINGS = ("Effusion", "Mass")
_SIDE_PX = 8


class TinyNetwork(nn.Module):
    """In place of DenseNet121: one strided convolution, batch norm and a head."""

    def __init__(self, findings: tuple[str, ...] = FINDINGS, *, size_px: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.findings = findings
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=size_px // 2, stride=size_px // 2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, len(findings)),
        )

    def forward(self, pixels_B1HW: Tensor) -> Tensor:
        """Logits [B, F]."""
        logits_BF: Tensor = self.layers(pixels_B1HW)
        return logits_BF.float()


def cached_part(folder: Path, num_images: int, size_px: int) -> Part:
    """So many images of noise in a real cache, each a patient of its own."""
    files = {image.name: image for image in _drawn(folder / "images", num_images)}
    cache = open_cache(folder / "cache", files, list(files), size_px=size_px, resize="squash")
    names = np.array(sorted(files), dtype=object)
    rows = np.arange(num_images)
    labels_NF = np.random.default_rng(1).integers(0, 2, (num_images, len(FINDINGS)))
    return Part(
        name="train",
        cache=cache,
        cache_rows_N=cache.rows_of(names.tolist()),
        index_rows_N=rows,
        images_N=names,
        patients_N=rows,
        labels_NF=labels_NF.astype(np.float32),
    )


def tiny_recipe(*, size_px: int, batch_size: int, epochs: int) -> Recipe:
    """For the stand-in network; nothing is drawn or decoded by it."""
    changes = {
        "dataset.findings": list(FINDINGS),
        "image.size_px": size_px,
        "train.batch_size": batch_size,
        "train.epochs": epochs,
        "train.precision": "fp32",
        "train.schedule": "constant",
    }
    return load_recipe("demo", [f"{key}={_toml(value)}" for key, value in changes.items()])


def _toml(value: object) -> str:
    return str(value).replace("'", '"')


def _drawn(folder: Path, num_images: int) -> list[ImageFile]:
    """PNG files of a few pixels: they cost nothing to decode, and as much room once enlarged."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(num_images):
        content = io.BytesIO()
        pixels_SS = rng.integers(0, 256, (_SIDE_PX, _SIDE_PX), dtype=np.uint8)
        Image.fromarray(pixels_SS).save(content, "PNG")
        path = folder / f"{number:08d}_000.png"
        path.write_bytes(content.getvalue())
        drawn.append(ImageFile(path.name, str(path)))
    return drawn


def tensors_of(work: Outcome | Tensor) -> list[Tensor]:
    """Of a step's outcome, or of a piece's loss."""
    return [work] if isinstance(work, Tensor) else [work.loss_and_norm_2, work.not_finite]


def recorded_on_the_host(parameters: list[nn.Parameter]) -> Capture:
    """Stands for a CUDA graph where there is none: what it computes lands in its place."""

    def capture(function: Callable[[], Work]) -> tuple[Work, Callable[[], None]]:
        work = function()
        gradients = [parameter.grad for parameter in parameters]

        def replay() -> None:
            put_there = [parameter.grad for parameter in parameters]
            for tensor, again in zip(tensors_of(work), tensors_of(function()), strict=True):
                tensor.copy_(again)
            for parameter, gradient, there in zip(parameters, gradients, put_there, strict=True):
                assert gradient is not None
                assert parameter.grad is not None
                gradient.copy_(parameter.grad)
                parameter.grad = there  # a replay touches no attribute of Python's

        return work, replay

    return capture
