"""From stored values to 8-bit grey, by a table with an entry for each value that can be stored.

So every step (masking, modality, window, inversion) is computed once for at most 65,536 values, and
the image itself is looked up in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.images.grey_rule import PERCENTILES, WINDOW, GreyRule

PERCENTILE_RANGE = (0.5, 99.5)
"""Percentiles that become black and white, as nnU-Net clips (Isensee et al. 2021)."""

Words = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels as they are stored: unsigned, whatever they mean."""

Values = NDArray[np.float64]
"""One value for each word that can be stored, [256] or [65536]."""

Voi = Callable[[Values], Values]
"""Values of interest -> 0 … 1."""

_ROWS_TOGETHER_PX = 1 << 17  # fits in a processor's cache with its temporaries


@dataclass(frozen=True)
class Levels:
    """What an image's words mean.

    Attributes:
        values_W: the value of each word, after the modality step.
        voi: the file's own choice of values, None if it has none.
        is_inverted: low values are white.
        rises: values rise with words, so that the extreme words have the extreme values.
        is_left_out_W: words that are no tissue (padding), None if there are none.
    """

    values_W: Values
    voi: Voi | None = None
    is_inverted: bool = False
    rises: bool = False
    is_left_out_W: NDArray[np.bool_] | None = None


DEEP = Levels(np.arange(1 << 16, dtype=np.float64), rises=True)
"""Words of 16 bits that are their own values, as in a PNG."""


def grey_of(words_HW: Words, levels: Levels, rule: GreyRule) -> tuple[NDArray[np.uint8], bool]:
    """Grey in bytes, uint8 [H, W], and whether the file's own window was of no use.

    A window of no use leaves all pixels of an image equal although their values differ.
    """
    low, high = _extremes(words_HW, levels)
    voi = levels.voi if rule.grey == WINDOW else None
    ends_useless = False
    shares_W: Values | None = None
    if voi is not None:
        shares_W = voi(levels.values_W)
        at_ends = voi(np.array([low, high]))
        ends_useless = bool(low < high and round(255 * at_ends[0]) == round(255 * at_ends[1]))
    if shares_W is None or ends_useless:
        if rule.grey == PERCENTILES:
            low, high = _percentiles(words_HW, levels)
        shares_W = _between(levels.values_W, low, high)
    bytes_W = np.floor(255 * np.clip(shares_W, 0, 1) + 0.5).astype(np.uint8)
    if levels.is_inverted:
        bytes_W = 255 - bytes_W
    return looked_up(words_HW, bytes_W), ends_useless


def looked_up(words_HW: Words, table_W: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The table's entry for each word, uint8 [H, W]."""
    grey_HW = np.empty(words_HW.shape, np.uint8)
    together = max(1, _ROWS_TOGETHER_PX // max(1, words_HW.shape[1]))
    for top in range(0, len(words_HW), together):
        rows = slice(top, top + together)
        # Checked: words can't be outside a table of their own width. clip avoids a second copy.
        np.take(table_W, words_HW[rows], out=grey_HW[rows], mode="clip")
    return grey_HW


def equalized(grey_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey with an equalised histogram, as OpenCV's equalizeHist: the darkest grey becomes 0."""
    counts_256 = np.bincount(grey_HW.ravel(), minlength=256)
    up_to_256 = counts_256.cumsum()
    darkest = int(counts_256[np.flatnonzero(counts_256)[0]])
    spread = max(1, grey_HW.size - darkest)
    table_256 = np.rint(np.clip(up_to_256 - darkest, 0, None) * (255 / spread)).astype(np.uint8)
    return looked_up(grey_HW, table_256)


def _between(values_W: Values, low: float, high: float) -> Values:
    return (values_W - low) / (high - low) if low < high else np.zeros_like(values_W)


def _extremes(words_HW: Words, levels: Levels) -> tuple[float, float]:
    if levels.rises and levels.is_left_out_W is None:
        lowest, highest = int(words_HW.min()), int(words_HW.max())
        return float(levels.values_W[lowest]), float(levels.values_W[highest])
    values_V, _ = _values_met(words_HW, levels)
    return float(values_V.min()), float(values_V.max())


def _percentiles(words_HW: Words, levels: Levels) -> tuple[float, float]:
    """The values below which those shares of the pixels lie; the extremes if both are one value."""
    values_V, counts_V = _values_met(words_HW, levels)
    order = np.argsort(values_V, kind="stable")
    up_to_V = counts_V[order].cumsum()
    places = np.searchsorted(up_to_V, np.array(PERCENTILE_RANGE) / 100 * up_to_V[-1])
    low, high = values_V[order][places]
    if low == high:
        return float(values_V.min()), float(values_V.max())
    return float(low), float(high)


def _values_met(words_HW: Words, levels: Levels) -> tuple[Values, NDArray[np.int64]]:
    """The values in the image without padding, and how often each occurs."""
    counts_W = np.bincount(words_HW.ravel(), minlength=len(levels.values_W))
    if levels.is_left_out_W is not None:
        tissue_W = np.where(levels.is_left_out_W, 0, counts_W)
        counts_W = tissue_W if tissue_W.any() else counts_W
    met = np.flatnonzero(counts_W)
    return levels.values_W[met], counts_W[met]
