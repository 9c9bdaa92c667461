"""What the network's input says of an image by itself: structure, symmetry, edges, orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COARSE = 16
"""Cells a side of the coarse picture: enough for the outline of a chest, too few for a finding."""

_FLAT_STD = 3.0
"""Grey levels of 255 by which a row or column of an even border varies at most."""


@dataclass(frozen=True, eq=False)
class PixelSigns:
    """Of B images.

    Attributes:
        coarse_BD: the coarse picture, standardised, flat.
        structure_B: standard deviation of the coarse picture, in grey levels.
        symmetry_B: correlation of the coarse picture with its mirror image, -1 … 1.
        border_B: share of the height or width, whichever is larger, that even edges take.
    """

    coarse_BD: Floats
    structure_B: Floats
    symmetry_B: Floats
    border_B: Floats

    @staticmethod
    def of(pixels_BSS: NDArray[np.uint8]) -> PixelSigns:
        """Bytes [B, S, S]."""
        coarse_BCC = coarse(pixels_BSS)
        standard_BCC = standardised(coarse_BCC)
        return PixelSigns(
            coarse_BD=standard_BCC.reshape(len(pixels_BSS), -1),
            structure_B=coarse_BCC.std(axis=(1, 2)),
            symmetry_B=(standard_BCC * standard_BCC[:, :, ::-1]).mean(axis=(1, 2)),
            border_B=_borders(pixels_BSS),
        )


def coarse(pixels_BSS: NDArray[np.uint8]) -> Floats:
    """Means of ``COARSE`` × ``COARSE`` cells of nearly equal size."""
    side = pixels_BSS.shape[-1]
    edges = np.linspace(0, side, COARSE + 1).round().astype(np.intp)
    rows = np.add.reduceat(pixels_BSS.astype(np.float64), edges[:-1], axis=1)
    sums = np.add.reduceat(rows, edges[:-1], axis=2)
    cells: Floats = sums / np.outer(np.diff(edges), np.diff(edges))
    return cells


def standardised(coarse_BCC: Floats) -> Floats:
    """Mean 0 and standard deviation 1, whatever brightness and contrast are."""
    centred = coarse_BCC - coarse_BCC.mean(axis=(1, 2), keepdims=True)
    whole: Floats = centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-6)
    return whole


def _borders(pixels_BSS: NDArray[np.uint8]) -> Floats:
    shares = []
    for along in (1, 2):  # within a column, within a row
        is_flat_BS = pixels_BSS.std(axis=along) < _FLAT_STD
        before, after = (_run(is_flat_BS[:, ::step]) for step in (1, -1))
        shares.append(np.minimum(before + after, is_flat_BS.shape[1]) / is_flat_BS.shape[1])
    larger: Floats = np.maximum(*shares)
    return larger


def _run(is_flat_BS: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many at the start are flat, without a gap."""
    runs: NDArray[np.intp] = np.where(
        is_flat_BS.all(axis=1), is_flat_BS.shape[1], (~is_flat_BS).argmax(axis=1)
    )
    return runs
