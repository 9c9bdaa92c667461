"""Compare the first layer's response to images with that to the images it was trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.batches import to_unit_range
from core.model.densenet import ChestDenseNet


def response_scale(model: ChestDenseNet, pixels_NSS: NDArray[np.uint8]) -> float | None:
    """Ratio of the first convolution's response to its batch norm's running statistics.

    The square root of the median, over channels, of the variance on these images divided by the
    running variance. It is near 1 if weights and value range match, and within a factor of a few
    even from photographs to X-rays.

    Args:
        model: in any mode, on any device; it doesn't change.
        pixels_NSS: N images as bytes, S pixels wide and high.

    Returns:
        None if the running variance is that of random weights, or is not finite.
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
