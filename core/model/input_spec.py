"""The input normalisation that a network's weights expect; the network stores and applies it.

With the wrong value range even perfectly matching tensors give noise. So only the network
normalises: it takes grey pixels from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import DataError

SQUASH, CROP, CROP_SKIMAGE = "squash", "crop", "crop-skimage"
"""Resize rules: squash the whole image to a square, or fit the shorter side and crop the centre;
the last one as torchxrayvision does it. See ``core.data.images.square.to_square``."""

_RESIZE_RULES = (SQUASH, CROP, CROP_SKIMAGE)


@dataclass(frozen=True)
class InputSpec:
    """How grey pixels in 0 … 1 become the input that the first convolution was trained on.

    ``expected = (low + pixel * (high - low) - mean) / std``, per channel.

    Attributes:
        name: of the convention.
        channels: 1, or 3 with the grey pixel in each.
        low: the value of black before normalisation.
        high: the value of white before normalisation.
        mean: one for each channel.
        std: one for each channel.
        resize: "squash", "crop" or "crop-skimage".
        native_size_px: image side at which the weights were trained; None if any is fine.
    """

    name: str
    channels: int
    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str = SQUASH
    native_size_px: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std must have {self.channels} values")
        if not all(math.isfinite(value) for value in (self.low, self.high, *self.mean, *self.std)):
            raise ValueError("range, mean and std must be finite")
        if not self.low < self.high or min(self.std) <= 0:
            raise ValueError("low must be below high, and std above 0")
        if self.resize not in _RESIZE_RULES:
            raise ValueError(f"resize must be one of {_RESIZE_RULES}, got {self.resize!r}")
        if self.native_size_px is not None and self.native_size_px < 1:
            raise ValueError(f"native_size_px must be above 0, got {self.native_size_px}")

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any], *, where: object) -> InputSpec:
        """Read a JSON object.

        Raises:
            DataError: a field is missing, unknown or out of bounds.
        """
        try:
            fields = dict(value)
            fields["mean"] = tuple(float(number) for number in fields["mean"])
            fields["std"] = tuple(float(number) for number in fields["std"])
            return InputSpec(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"the input normalisation of the weights can't be read ({error})",
                where=where,
                why="Weights give noise if the value range is wrong",
                remedy="Use another checkpoint of the session",
            ) from error


IMAGENET = InputSpec(
    name="ImageNet",
    channels=3,
    low=0.0,
    high=1.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    native_size_px=224,
)
"""torchvision's ImageNet weights."""

CHEXNET = InputSpec(
    name="CheXNet reproductions",
    channels=3,
    low=0.0,
    high=1.0,
    mean=IMAGENET.mean,
    std=IMAGENET.std,
    resize=CROP,
    native_size_px=224,
)
"""jrzech/reproduce-chexnet, arnoweng/CheXNet and zoogzog/chexnet: as ImageNet, but cropped."""

TORCHXRAYVISION = InputSpec(
    name="torchxrayvision",
    channels=1,
    low=-1024.0,
    high=1024.0,
    mean=(0.0,),
    std=(1.0,),
    resize=CROP_SKIMAGE,
    native_size_px=224,
)
"""torchxrayvision's DenseNets (Cohen et al. 2022, arXiv 2111.00595)."""

GREY = InputSpec(name="grey", channels=1, low=0.0, high=1.0, mean=(0.5,), std=(0.25,))
"""For random weights: one channel, mean about 0 and standard deviation about 1 on chest X-rays."""
