"""Convert pixels of more than 8 bits to bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_BITS_MAX = 65_535
_FULL_SCALES = (255, 4_095, MOST_BITS_MAX)
"""White of 8 bits, of 12-bit detectors in 16-bit files, and of 16 bits."""

MARKER_SHARE = 0.02
"""Share of an image's pixels that may exceed its depth. A side marker or a printed name takes less
than 1 %, and often has the file's full white instead of the detector's."""


def to_8_bits(deep_HW: NDArray[np.integer]) -> tuple[NDArray[np.uint8], bool]:
    """Grey in bytes, and whether a few brighter pixels were clipped to white.

    The depth is the smallest of 8, 12 and 16 bits that contains all but MARKER_SHARE of the pixels:
    unchanged at 8 bits, ``* 255 / 4095`` at 12, ``/ 257`` at 16. If the brightest pixel decided, a
    white marker would leave a 12-bit chest with 16 grey levels.
    """
    brightest = int(deep_HW.max())
    allowed = int(MARKER_SHARE * deep_HW.size)
    full_scale = next(
        scale
        for scale in _FULL_SCALES
        if brightest <= scale or np.count_nonzero(deep_HW > scale) <= allowed
    )
    is_cut = brightest > full_scale
    held_HW = np.minimum(deep_HW, full_scale) if is_cut else deep_HW
    if full_scale == 255:
        return held_HW.astype(np.uint8), is_cut
    scaled_HW = held_HW.astype(np.float32) * np.float32(255 / full_scale)
    return (scaled_HW + np.float32(0.5)).astype(np.uint8), is_cut
