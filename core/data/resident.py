"""Images held in the device's memory: a batch is then one index_select there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.cache.cache import ImageCache

_BYTES_AT_ONCE = 64 * 2**20


class ResidentImages:
    """Some of a cache's images, uint8 [R, size_px, size_px], on a device; read by any thread."""

    def __init__(self, cache_rows_R: NDArray[np.int64], pixels_RHW: Tensor) -> None:
        self._cache_rows_R = cache_rows_R  # ascending
        self._pixels_RHW: Tensor | None = pixels_RHW

    @property
    def size_bytes(self) -> int:
        """What they take; 0 once they were let go."""
        return 0 if self._pixels_RHW is None else self._pixels_RHW.nbytes

    def pixels(self, cache_rows_B: NDArray[np.int64]) -> Tensor | None:
        """The images in these rows of the cache, uint8 [B, H, W], as a copy on the device.

        None where they were let go, or where one of them isn't held.
        """
        pixels_RHW = self._pixels_RHW  # another thread may let go meanwhile
        if pixels_RHW is None or not len(self._cache_rows_R):
            return None
        places_B = np.searchsorted(self._cache_rows_R, cache_rows_B)
        np.minimum(places_B, len(self._cache_rows_R) - 1, out=places_B)
        if not np.array_equal(self._cache_rows_R[places_B], cache_rows_B):
            return None
        places = torch.from_numpy(places_B)
        if pixels_RHW.is_cuda:
            places = places.pin_memory().to(pixels_RHW.device, non_blocking=True)
        return pixels_RHW.index_select(0, places.to(pixels_RHW.device))

    def release(self) -> None:
        """Give the memory back: from now on batches come from the cache."""
        self._pixels_RHW = None


def hold_images(
    cache: ImageCache,
    cache_rows: Sequence[NDArray[np.int64]],
    device: torch.device,
    progress: Callable[[int, int], bool],
) -> ResidentImages | None:
    """Copy these rows of the cache to the device.

    Args:
        cache: where they are.
        cache_rows: rows of one part each; rows in several are held once.
        device: where to.
        progress: told (images done, of all) a few times; where it answers False, None is returned.

    Raises:
        torch.OutOfMemoryError: the device has less free memory than it reported.
    """
    rows_R = np.unique(np.concatenate(cache_rows))
    size_px = cache.size_px
    pixels_RHW = torch.empty((len(rows_R), size_px, size_px), dtype=torch.uint8, device=device)
    at_once = max(1, _BYTES_AT_ONCE // size_px**2)
    for start in range(0, len(rows_R), at_once):
        if not progress(start, len(rows_R)):
            return None
        piece = slice(start, start + at_once)
        pixels_RHW[piece].copy_(torch.from_numpy(cache.pixels(rows_R[piece])))
    return ResidentImages(rows_R, pixels_RHW)


def parts_that_fit(images: Sequence[int], size_px: int, budget_bytes: int) -> int:
    """How many of the parts, from the first on, fit into so many bytes together."""
    left_bytes = budget_bytes
    for number, count in enumerate(images):
        left_bytes -= count * size_px**2
        if left_bytes < 0:
            return number
    return len(images)
