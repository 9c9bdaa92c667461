"""From 8-bit grey pixels of any size to probabilities, as one graph that ONNX can hold.

Pillow shrinks by a triangle filter with weights of 22 bits, first along rows, then along columns,
and rounds to bytes after each (Pillow, src/libImaging/Resample.c). In float64 the same sums are
exact, so the graph's pixels are the training's own, bit for bit. ONNX's own ``Resize`` with
``antialias`` differs by up to 13 of 255 at the edges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.model.densenet import ChestDenseNet
from core.model.input_spec import CROP, SQUASH

EXPRESSIBLE = (SQUASH, CROP)
"""Resize rules that the graph can hold; ``crop-skimage`` is a Gaussian of any width."""

_PRECISION = 1 << 22


class GreyToProbabilities(nn.Module):
    """uint8 [B, 1, H, W] -> float32 [B, F]: resized, rounded, normalised, scored.

    Args:
        model: the network, in float32.
        size_px: its input size.
        probabilities: from logits; None: the sigmoid.
    """

    def __init__(
        self, model: ChestDenseNet, size_px: int, probabilities: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.size_px = size_px
        self.probabilities = probabilities or nn.Sigmoid()

    def forward(self, grey_B1HW: Tensor) -> Tensor:
        """Probabilities of each finding."""
        pixels_B1HW = grey_B1HW
        if self.model.input_spec.resize == CROP:
            pixels_B1HW = _centre_square(pixels_B1HW)
        shown: Tensor = self.probabilities(self.model(resized(pixels_B1HW, self.size_px) / 255))
        return shown


class InputToProbabilities(nn.Module):
    """uint8 [B, 1, S, S], already at the input size -> float32 [B, F]."""

    def __init__(self, model: ChestDenseNet, probabilities: nn.Module | None = None) -> None:
        super().__init__()
        self.model = model
        self.probabilities = probabilities or nn.Sigmoid()

    def forward(self, grey_B1SS: Tensor) -> Tensor:
        """Probabilities of each finding."""
        shown: Tensor = self.probabilities(self.model(grey_B1SS.to(torch.float32) / 255))
        return shown


def resized(grey_B1HW: Tensor, size_px: int) -> Tensor:
    """uint8 [B, 1, H, W] -> float32 [B, 1, size_px, size_px] of whole numbers, as Pillow does."""
    height, width = grey_B1HW.shape[2], grey_B1HW.shape[3]
    rows_B1HS = _rounded(grey_B1HW.to(torch.float64) @ _weights(width, size_px).T)
    return _rounded(_weights(height, size_px) @ rows_B1HS).to(torch.float32)


def _weights(length: int, size_px: int) -> Tensor:
    """float64 [size_px, length]: what each pixel of a line adds to each of the output's."""
    places_L = torch.arange(length, dtype=torch.float64) + 0.5
    scale = places_L.sum() * 0 + length / size_px
    centres_S1 = (torch.arange(size_px, dtype=torch.float64).unsqueeze(1) + 0.5) * scale
    support = torch.clamp(scale, min=1.0)
    triangle_SL = torch.clamp(1 - (places_L - centres_S1).abs() / support, min=0.0)
    shares_SL = triangle_SL / triangle_SL.sum(dim=1, keepdim=True)
    return torch.floor(shares_SL * _PRECISION + 0.5)


def _rounded(sums: Tensor) -> Tensor:
    return torch.clamp(torch.floor(sums / _PRECISION + 0.5), 0.0, 255.0)


def _centre_square(grey_B1HW: Tensor) -> Tensor:
    height, width = grey_B1HW.shape[2], grey_B1HW.shape[3]
    side = torch.sym_min(height, width)  # type: ignore[no-untyped-call] # torch's own
    top, left = (height - side) // 2, (width - side) // 2
    return grey_B1HW[:, :, top : top + side, left : left + side]
