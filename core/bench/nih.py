"""Estimate how long NIH ChestX-ray14 would take, from rates measured on any data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.bench.decoding import contents_of, decoded_a_second
from core.data.images.image_file import ImageFile
from core.data.phantom import write_phantom

ALL_IMAGES = 112_120
TRAIN_VAL_IMAGES = 86_524
"""Number of images in the official train_val list."""

_SIZE_PX = 1024
_ALIKE = 0.1
_PATIENTS = 2


def are_like_nih(sizes_px_N2: NDArray[np.int64]) -> bool:
    """Whether images of these widths and heights have about as many pixels as NIH's."""
    pixels = float(np.median(sizes_px_N2.prod(axis=1)))
    return abs(pixels / _SIZE_PX**2 - 1) < _ALIKE


def decode_rate(folder: Path, *, size_px: int, resize: str) -> float:
    """Images per second on one core, for a few synthetic images of NIH's size in ``folder``.

    Real images take 7 % longer (measured on 40 of each).
    """
    write_phantom(folder, patients=_PATIENTS, size_px=_SIZE_PX, seed=0)
    drawn = [ImageFile(path.name, str(path)) for path in sorted(folder.rglob("*.png"))]
    return decoded_a_second(contents_of(drawn), size_px, resize)
