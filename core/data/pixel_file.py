"""The bytes of a cache's images, read by rows.

By reads and not by a memory map: the pages of a map count as the process's own memory once they
were touched, so that a job's limit would have to hold the whole data set; and a disk that fails
under a map ends the process without a word, where a read is an error that can be waited out.
"""

from __future__ import annotations

import errno
import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class PixelFile:
    """Square images of one size, one after the other; any number of threads may read."""

    def __init__(self, path: Path, size_px: int) -> None:
        """Open it.

        Raises:
            OSError: it can't be.
        """
        self._path = path
        self._size_px = size_px
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images in these rows, uint8 [len(rows), size_px, size_px].

        Raises:
            OSError: the disk fails, or the file is shorter than it was.
        """
        pixels_RSS = np.empty((len(rows), self._size_px, self._size_px), dtype=np.uint8)
        image_bytes = self._size_px**2
        for row, pixels_SS in zip(rows.tolist(), pixels_RSS, strict=True):
            self._fill(pixels_SS.reshape(-1).data, row * image_bytes)
        return pixels_RSS

    def _fill(self, left: memoryview, offset: int) -> None:
        while left:
            count = os.preadv(self._descriptor, [left], offset)
            if count == 0:
                raise OSError(errno.EIO, "the cache is shorter than it was", str(self._path))
            left, offset = left[count:], offset + count
