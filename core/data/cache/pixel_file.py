"""Read the bytes of a cache's images by slot.

It uses reads, not a memory map: touched pages of a map count as the process's memory, so a job's
limit would have to cover the whole data set. And a disk that fails under a map kills the process,
while a failed read is an error that can be retried.

Every image is verified against its checksum each time, which takes a microsecond or two: disks,
cables and other processes can damage it at any time.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_rows import pixels_checksum


class PixelFile:
    """Consecutive square images of one size; any number of threads may read."""

    def __init__(self, path: Path, size_px: int) -> None:
        """Open the file.

        Raises:
            OSError: it can't be opened.
        """
        self._size_px = size_px
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(
        self, slots: NDArray[np.uint32], checksums: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """The images in these slots, uint8 [len(slots), size_px, size_px], and which are damaged.

        Damaged images don't match their checksum, or are beyond the end of the file.

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
        """Whether the open file is still the one at that path."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.lstat())
        except OSError:
            return False

    def _fill(self, left: memoryview, offset: int) -> bool:
        """Fill the buffer; whether there were enough bytes."""
        while left:
            count = os.preadv(self._descriptor, [left], offset)
            if count == 0:
                return False
            left, offset = left[count:], offset + count
        return True
