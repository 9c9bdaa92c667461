"""What a network's first layer makes of images, beside what it made of those it was trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.batches import to_unit_range
from core.model.densenet import ChestDenseNet


def response_scale(model: ChestDenseNet, pixels_NSS: NDArray[np.uint8]) -> float | None:
    """How many times stronger the first convolution answers than its batch norm remembers.

    The square root of the median, over channels, of the variance on these images over the running
    variance. Where weights and value range go together it is near 1: within a factor of a few
    even from photographs to X-rays.

    Args:
        model: any mode, any device; nothing of it changes.
        pixels_NSS: N images as bytes, S pixels wide and high.

    Returns:
        None where the running variance is that of fresh weights, or no number.
    """
    features = model.features
    convolution, norm = features.get_submodule("conv0"), features.get_submodule("norm0")
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None:
        return None
    remembered_C = norm.running_var.double()
    if bool((remembered_C == 1).all()):
        return None
    with torch.inference_mode():
        pixels_N1SS = to_unit_range(torch.from_numpy(pixels_NSS).to(model.mean_1C11.device))
        answers_NCHW = convolution(model.expected_of(pixels_N1SS))
        variance_C = answers_NCHW.double().var(dim=(0, 2, 3))
        ratio = float((variance_C / remembered_C).median())
    return math.sqrt(ratio) if 0 < ratio < math.inf else None
