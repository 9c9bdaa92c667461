"""Repairs that an image needed to be read correctly."""

from __future__ import annotations

import enum


class Repair(enum.IntFlag):
    """Repairs of an image, besides the conversion to grey; stored in the cache, one bit each."""

    TURNED = 1
    WITHOUT_METADATA = 2
    MARKER_CUT = 4
    BITS_ABOVE_STORED = 8
    WINDOW_UNUSABLE = 16
    BURNED_IN = 32
    SYNTAX_GUESSED = 64
    SHAPE_CONTRADICTS = 128

    @property
    def in_words(self) -> str:
        """The description of a single repair, for counts."""
        return _REPAIRS_IN_WORDS[self]


_REPAIRS_IN_WORDS = {
    Repair.TURNED: "stored rotated or mirrored, made upright by their EXIF orientation",
    Repair.WITHOUT_METADATA: "with damaged or oversized metadata, read without it",
    Repair.MARKER_CUT: "with a marker brighter than the rest's bit depth, clipped to white",
    Repair.BITS_ABOVE_STORED: "with bits above their BitsStored, kept where that makes the "
    "smoother picture, else masked as an overlay",
    Repair.WINDOW_UNUSABLE: "with a DICOM window that leaves nothing to see, shown by their whole "
    "range",
    Repair.BURNED_IN: "marked BurnedInAnnotation YES: a name may stand in the picture",
    Repair.SYNTAX_GUESSED: "without DICOM preamble or transfer syntax, which was guessed",
    Repair.SHAPE_CONTRADICTS: "whose PresentationLUTShape contradicts PhotometricInterpretation, "
    "which was followed",
}

AS_STORED = Repair(0)
"""No repair."""
