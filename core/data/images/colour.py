"""Grey of a picture in colour, and how colourful it was."""

from __future__ import annotations

import numpy as np
from PIL import Image

COLOUR = "cxr-tui colour"
"""Where a grey image's ``info`` says which share of the picture was in colour, 0 … 1."""

_SAMPLED_PX = 96
_LEAST_CHROMA = 24
"""Compression leaves a grey picture up to about ten levels between its channels."""


def grey_of_colour(image: Image.Image) -> Image.Image:
    """Rec. 601 luma, with ``COLOUR`` in its ``info``; a grey RGB image keeps its values exactly."""
    grey = image.convert("L")
    grey.info[COLOUR] = _share_in_colour(image)
    return grey


def _share_in_colour(image: Image.Image) -> float:
    sampled = image.resize((_SAMPLED_PX, _SAMPLED_PX), Image.Resampling.NEAREST).convert("RGB")
    channels_HW3 = np.asarray(sampled).astype(np.int16)
    chroma_HW = channels_HW3.max(axis=2) - channels_HW3.min(axis=2)
    return float((chroma_HW >= _LEAST_CHROMA).mean())
