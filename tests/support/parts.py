"""Parts of a split whose images are in memory, for tests of training without a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.data.batches import Part


class Pixels:
    """In place of a cache: N images as bytes."""

    def __init__(self, images_NHW: NDArray[np.uint8]) -> None:
        self.images_NHW = images_NHW

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The bytes of these rows."""
        return self.images_NHW[rows]

    def take_mended(self) -> list[str]:
        """None: these bytes stand in memory alone."""
        return []


def part_of(name: str, images_NHW: NDArray[np.uint8], labels_NF: NDArray[np.float32]) -> Part:
    """Each image is a patient of its own."""
    rows = np.arange(len(labels_NF))
    names = np.array([f"{name}{row}.png" for row in rows], dtype=object)
    return Part(name, Pixels(images_NHW), rows, rows, names, rows, labels_NF)  # type: ignore[arg-type]  # it reads as a cache does
