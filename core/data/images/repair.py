"""What was done to an image so that it could be read, or read as it is meant."""

from __future__ import annotations

import enum


class Repair(enum.IntFlag):
    """What was done to an image besides making it grey; kept in the cache, one bit each."""

    TURNED = 1
    WITHOUT_METADATA = 2
    MARKER_CUT = 4

    @property
    def in_words(self) -> str:
        """As it is counted, of one of them."""
        return _REPAIRS_IN_WORDS[self]


_REPAIRS_IN_WORDS = {
    Repair.TURNED: "stored lying or mirrored, set upright by their EXIF orientation",
    Repair.WITHOUT_METADATA: "with damaged or endless metadata, read without it",
    Repair.MARKER_CUT: "with a marker brighter than the depth of the rest, cut to white",
}

AS_STORED = Repair(0)
"""Nothing was done to it."""
