"""Training in milliseconds: a network of two layers on images in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.batches import Part
from core.evaluation.predict import Placement
from core.model.precision import Precision
from core.recipe_toml import checked_recipe
from core.training.trainer import Trainer

FINDINGS = ("Mass", "Nodule")
SIZE_PX = 64  # the least at which a lone image has batch statistics


class TinyNetwork(nn.Module):
    """Two convolutions with batch norm, and a head in float32 as DenseNet121's."""

    def __init__(self) -> None:
        super().__init__()
        self.findings = FINDINGS
        # No bias before batch norm, which takes it away: its gradient would be rounding alone.
        self.first = nn.Conv2d(1, 4, 3, stride=4, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, len(FINDINGS))

    def forward(self, pixels_B1HW: Tensor) -> Tensor:
        maps = torch.relu(self.second(torch.relu(self.norm(self.first(pixels_B1HW)))))
        with torch.autocast(maps.device.type, enabled=False):
            maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
            return self.head(maps.mean(dim=(2, 3)))


class Images:
    """Bytes in memory in place of the memory map: rows are images, bright where it is positive."""

    def __init__(self, labels_NF: np.ndarray) -> None:
        noise = np.random.default_rng(0).integers(0, 128, (len(labels_NF), SIZE_PX, SIZE_PX))
        bright = 100 * labels_NF[:, :1, None]
        self.images = (noise + bright).astype(np.uint8)
        self.size_px = SIZE_PX

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows]

    def take_mended(self) -> list[str]:
        return []


def tiny_part(name: str, images: int, *, cache: Images | None = None) -> Part:
    rows = np.arange(images)
    labels_NF = np.stack([rows % 2, rows % 3 == 0], axis=1).astype(np.float32)
    labels_NF[::5, 1] = np.nan
    return Part(
        name=name,
        cache=cache or Images(np.nan_to_num(labels_NF)),
        cache_rows_N=rows,
        index_rows_N=rows,
        images_N=np.array([f"{row}.png" for row in rows], dtype=object),
        patients_N=rows,
        labels_NF=labels_NF,
    )


def tiny_trainer(
    *, images: int = 36, precision: str = "fp32", augment: bool = True, **settings: Any
) -> Trainer:
    """A trainer with fresh weights, the same each time; eight images a step, augmented."""
    recipe = checked_recipe(
        {
            "image": {"size_px": SIZE_PX},
            "dataset": {"findings": list(FINDINGS)},
            "augment": {"flip": 0.5, "rotate_deg": 10.0} if augment else {},
            "train": {"batch_size": 8, "learning_rate": 0.05} | settings,
        },
        "test",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TinyNetwork()
    placement = Placement(torch.device("cpu"), Precision(precision, "a test"))
    return Trainer(network, tiny_part("train", images), recipe, placement)


def losses_of(trainer: Trainer, epochs: int = 1) -> list[float]:
    """Train, and give the loss of each step."""
    results = []
    for _ in range(epochs):
        results += [result for _, result in trainer.epoch_steps()]
        trainer.finish_epoch()
    return [result.loss for result in results]


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    """Weights, statistics and moments, as copies."""
    model, moments = trainer.tensors()
    return {name: value.clone() for name, value in {**model, **moments}.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Bit for bit, but for the count of batches, which nothing reads."""
    counted = [name for name in one if not name.endswith("num_batches_tracked")]
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in counted)
