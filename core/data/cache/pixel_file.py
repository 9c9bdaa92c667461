"""The bytes of a cache's images, read by slots.

By reads and not by a memory map: the pages of a map count as the process's own memory once they
were touched, so that a job's limit would have to hold the whole data set; and a disk that fails
under a map ends the process without a word, where a read is an error that can be waited out.

Every image is held against its checksum each time: that takes a microsecond or two, and disks,
cables and neighbours don't wait for a second epoch.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_rows import pixels_checksum


class PixelFile:
    """Square images of one size, one after the other; any number of threads may read."""

    def __init__(self, path: Path, size_px: int) -> None:
        """Open it.

        Raises:
            OSError: it can't be.
        """
        self._size_px = size_px
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(
        self, slots: NDArray[np.uint32], checksums: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """The images in these slots, uint8 [len(slots), size_px, size_px], and which are damaged.

        Damaged are those whose bytes aren't those of the checksum, or aren't there any more.

        Raises:
            OSError: the disk fails.
        """
        pixels_RSS = np.empty((len(slots), self._size_px, self._size_px), dtype=np.uint8)
        image_bytes = self._size_px**2
        damaged = []
        each = zip(slots.tolist(), checksums.tolist(), pixels_RSS, strict=True)
        for number, (slot, checksum, pixels_SS) in enumerate(each):
            whole = self._fill(pixels_SS.reshape(-1).data, slot * image_bytes)
            if not whole or pixels_checksum(pixels_SS) != checksum:
                damaged.append(number)
        return pixels_RSS, damaged

    def is_at(self, path: Path) -> bool:
        """Whether the open file is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.lstat())
        except OSError:
            return False

    def _fill(self, left: memoryview, offset: int) -> bool:
        """Whether so many bytes were there."""
        while left:
            count = os.preadv(self._descriptor, [left], offset)
            if count == 0:
                return False
            left, offset = left[count:], offset + count
        return True
