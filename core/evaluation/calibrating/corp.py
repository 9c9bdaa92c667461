"""The Brier score and its parts: miscalibration, discrimination and uncertainty.

CORP (Dimitriadis, Gneiting and Jordan 2021, PNAS 118:e2016191118): labels are regressed on scores
by pool-adjacent-violators, which needs no bins. Miscalibration is what that would gain,
discrimination what it gains on the prevalence alone, and uncertainty the Brier score of the
prevalence. Brier = miscalibration − discrimination + uncertainty, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BrierParts:
    """The mean of (score − label)² over images, and its parts."""

    brier: float
    miscalibration: float
    discrimination: float
    uncertainty: float


@dataclass(frozen=True, eq=False)
class Blocks:
    """Scores pooled until the share of positive images rises from block to block; lowest first.

    Attributes:
        images_B: weight of each block.
        positives_B: positive weight.
        first_B: lowest score of each.
        block_K: block of each image.
    """

    images_B: Floats
    positives_B: Floats
    first_B: Floats
    block_K: NDArray[np.intp]

    @property
    def shares(self) -> Floats:
        """Positive share of each block; strictly rising."""
        shares_B: Floats = self.positives_B / self.images_B
        return shares_B


def pooled(scores_K: Floats, present_K: Floats, weights_K: Floats | None = None) -> Blocks:
    """Pool adjacent violators; equal scores start in one block.

    Args:
        scores_K: any finite numbers, at least one.
        present_K: labels, or shares between 0 and 1.
        weights_K: of the images; None: 1 each.
    """
    weights_K = np.ones_like(scores_K) if weights_K is None else weights_K
    values_G, group_K = np.unique(scores_K, return_inverse=True)
    group_K = group_K.reshape(-1)
    images_G = np.bincount(group_K, weights=weights_K)
    positives_G = np.bincount(group_K, weights=weights_K * present_K)
    starts: list[int] = []
    images: list[float] = []
    positives: list[float] = []
    for place, (count, positive) in enumerate(
        zip(images_G.tolist(), positives_G.tolist(), strict=True)
    ):
        start = place
        # Compared as products, so that whole counts are compared exactly.
        while images and positives[-1] * count >= positive * images[-1]:
            count, positive = count + images.pop(), positive + positives.pop()
            start = starts.pop()
        starts.append(start)
        images.append(count)
        positives.append(positive)
    block_G = np.searchsorted(starts, np.arange(len(values_G)), side="right") - 1
    return Blocks(np.array(images), np.array(positives), values_G[starts], block_G[group_K])


def brier_parts(
    scores_K: Floats, present_K: NDArray[np.bool_], blocks: Blocks | None = None
) -> BrierParts:
    """Of K probabilities and labels, at least one; ``blocks`` are their ``pooled``, if known."""
    labels_K = present_K.astype(np.float64)
    blocks = blocks or pooled(scores_K, labels_K)
    brier = float(np.mean((scores_K - labels_K) ** 2))
    share = float(labels_K.mean())
    uncertainty = share * (1 - share)
    shares_B = blocks.shares
    # Within a block of share s, the mean of (s − label)² is s (1 − s).
    recalibrated = float((blocks.images_B * shares_B * (1 - shares_B)).sum()) / len(scores_K)
    return BrierParts(
        brier,
        miscalibration=max(0.0, brier - recalibrated),
        discrimination=max(0.0, uncertainty - recalibrated),
        uncertainty=uncertainty,
    )
