"""Read a TIFF of one page.

Its reader is loaded with the first TIFF, and silenced: it warns about damaged tags, and warning
filters are shared by all threads.
"""

from __future__ import annotations

import ctypes
import io
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from PIL import Image, _imaging

from core.data.images.refusal import UndecodableImage

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

_PHOTOMETRIC, _ORIENTATION = 262, 274
_WHITE_IS_ZERO, _UPRIGHT = 0, 1
_ENTRY_BYTES = 12


def read_tiff(
    content: bytes, name: str, refuse_large: Callable[[Image.Image, str], None]
) -> tuple[Image.Image, bool, bool]:
    """The image, loaded and upright; whether its grey is still inverted; whether it was turned.

    Raises:
        UndecodableImage: it has several pages.
        Exception: it is damaged, as Pillow's other readers.
    """
    image = _reader()(io.BytesIO(content))
    refuse_large(image, name)
    if _has_more_pages(content):
        raise UndecodableImage(name, "a TIFF of several pages")
    tags = image.tag_v2
    is_inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    is_turned = tags.get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
    image.load()  # turns it, too
    # Pillow inverts up to 8 bits itself.
    return image, is_inverted and image.mode.startswith("I"), is_turned


@cache
def _reader() -> Any:
    from PIL.TiffImagePlugin import TiffImageFile

    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
    _silence_libtiff()
    return TiffImageFile


def _silence_libtiff() -> None:
    """It writes of damaged files to the terminal, over the console's screen; errors are raised
    anyway."""
    with suppress(AttributeError, OSError):  # built without it, or into another library
        library = ctypes.CDLL(_imaging.__file__)
        for kind in ("Error", "Warning"):
            getattr(library, f"TIFFSet{kind}Handler")(None)


def _has_more_pages(content: bytes) -> bool:
    order = "<" if content.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (num_entries,) = struct.unpack_from(f"{order}H", content, start)
    (following,) = struct.unpack_from(f"{order}I", content, start + 2 + num_entries * _ENTRY_BYTES)
    return bool(following)
