"""The orientation of an image by its EXIF, as viewers show it.

Pillow isn't used, since it warns about damaged tags: warning filters are shared by all threads, and
only this number is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress

from PIL import Image

_JPEG_PREFIX = b"Exif\0\0"
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION, _SHORT = 0x0112, 3
_ENTRY_BYTES = 12

# TIFF orientations and the transposes that make them upright; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_of(info: Mapping[str | tuple[int, int], object]) -> Image.Transpose | None:
    """The transpose that makes an image with this ``Image.info`` upright; None if none is
    needed."""
    exif = info.get("exif")
    hexadecimal = info.get("Raw profile type exif")  # how older ImageMagick writes it into a PNG
    if exif is None and isinstance(hexadecimal, str):
        with suppress(ValueError):
            exif = bytes.fromhex("".join(hexadecimal.split("\n")[3:]))
    if not isinstance(exif, bytes):
        return None
    return _TURNS.get(_orientation(exif.removeprefix(_JPEG_PREFIX)))


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory; 0 if it can't be read."""
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 0
    with suppress(struct.error):
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (num_entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(num_entries):
            place = start + 2 + number * _ENTRY_BYTES
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if tag == _ORIENTATION:
                return int(value) if kind == _SHORT else 0
    return 0
