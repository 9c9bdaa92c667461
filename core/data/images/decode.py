"""Decode one image to grey pixels, or give a short reason why that fails.

DICOM, PNG, JPEG, TIFF and BMP are recognised by their first bytes, not their name, so a JPEG named
``.png`` is read. Every image becomes one 8-bit grey channel, rotated by its EXIF orientation.
Conversions and repairs are returned, so that they can be counted.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from core.data.images.colour import COLOUR, grey_of_colour
from core.data.images.deep_pixels import MOST_BITS_MAX, to_8_bits
from core.data.images.dicom import read_dicom
from core.data.images.dicom_file import is_dicom
from core.data.images.dicom_frames import MAX_SCANS
from core.data.images.encoded_parts import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    num_scans,
    without_metadata,
)
from core.data.images.grey_levels import DEEP, equalized, grey_of
from core.data.images.grey_rule import DEFAULT, WINDOW, GreyRule
from core.data.images.orientation import turn_of
from core.data.images.refusal import UndecodableImage
from core.data.images.repair import AS_STORED, Repair
from core.data.images.square import square_of
from core.data.images.tiff import TIFF_SIGNATURES, read_tiff
from core.regular_file import open_regular

DECODER_VERSION = 2
"""Part of a cache's key: increase it when the same file would give other pixels."""

MAX_PIXELS = 100_000_000
"""An image with more pixels is refused by its header, before decoding."""

MAX_ENCODED_BYTES = 256 * 2**20
"""A larger file is refused unread; NIH's largest image has less than a megabyte."""

_LOOK_SHARES = (0.01, 0.99)

PLAIN_MODE = "L"
"""Pillow's name for 8-bit grey, the one mode that needs no conversion."""

_READERS: tuple[tuple[bytes, Callable[[io.BytesIO], ImageFile.ImageFile]], ...] = (
    (PNG_SIGNATURE, PngImagePlugin.PngImageFile),
    (JPEG_SIGNATURE, JpegImagePlugin.JpegImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
# Exceptions of Pillow's readers for files that don't match their first bytes.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    OverflowError,
    LookupError,
    TypeError,
    AttributeError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class GreyImage:
    """An image in 8-bit grey, uint8 [H, W], with its stored Pillow mode and repairs."""

    pixels_HW: NDArray[np.uint8]
    mode: str
    repairs: Repair = AS_STORED

    @property
    def converted(self) -> bool:
        """Whether it was not stored as 8-bit grey."""
        return self.mode != PLAIN_MODE


@dataclass(frozen=True)
class GreyLook:
    """The whole image's grey before it was equalised.

    Attributes:
        num_levels: how many of the 256 occur.
        darkest, brightest: its 1st and 99th percentile, 0 … 255.
        colour_share: of its pixels, those that were in colour, 0 … 1.
    """

    num_levels: int
    darkest: int
    brightest: int
    colour_share: float


@dataclass(frozen=True)
class SquareImage:
    """An image at the network's input size, [size_px, size_px], with its original properties."""

    pixels_SS: NDArray[np.uint8]
    mode: str
    width_px: int
    height_px: int
    repairs: Repair = AS_STORED
    look: GreyLook | None = None


def decode_grey(encoded: bytes | Path, name: str, rule: GreyRule = DEFAULT) -> GreyImage:
    """Decode the whole image to 8-bit grey, uint8 [H, W].

    Colour becomes Rec. 601 luma (a grey RGB image keeps its values exactly); alpha is ignored,
    since NIH's RGBA files are opaque. Deeper pixels are scaled to 8 bits, see
    :func:`core.data.images.deep_pixels.to_8_bits`.

    Raises:
        UndecodableImage: the file can't be decoded, or its image is constant.
        OSError: ``encoded`` is a path that can't be read.
    """
    image, mode, repairs = _open_grey(encoded, name, rule)
    _refuse_constant(image, name)
    return GreyImage(np.asarray(image), mode, repairs)


def decode_square(
    encoded: bytes | Path,
    name: str,
    size_px: int,
    resize: str,
    rule: GreyRule = DEFAULT,
    *,
    with_look: bool = False,
) -> SquareImage:
    """:func:`decode_grey` and ``to_square`` in one step, without the full-size array.

    That copy takes 2.6 ms for a 1024-pixel image and holds the GIL, a fifth of the time of
    decoding, which releases it.

    Raises:
        UndecodableImage, OSError: as :func:`decode_grey`.
    """
    image, mode, repairs = _open_stored(encoded, name, rule)
    look = _look_of(image) if with_look else None
    image = _equalized(image, name, rule)
    if resize == "crop-skimage":
        _refuse_constant(image, name)  # before its edges are blended with grey
    pixels_SS = square_of(image, size_px, resize)
    # A constant image stays constant when resized, so only such images need the slow check.
    if pixels_SS.min() == pixels_SS.max():
        _refuse_constant(image, name)
    return SquareImage(pixels_SS, mode, image.width, image.height, repairs, look)


def _open_grey(encoded: bytes | Path, name: str, rule: GreyRule) -> tuple[Image.Image, str, Repair]:
    image, mode, repairs = _open_stored(encoded, name, rule)
    return _equalized(image, name, rule), mode, repairs


def _open_stored(
    encoded: bytes | Path, name: str, rule: GreyRule
) -> tuple[Image.Image, str, Repair]:
    content = _read(encoded, name) if isinstance(encoded, Path) else encoded
    if is_dicom(content):
        image, mode, repairs = read_dicom(
            content, name, rule, most_pixels=MAX_PIXELS, most_bytes=MAX_ENCODED_BYTES
        )
    else:
        image, mode, repairs = _by_pillow(content, name, rule)
    return image, mode, repairs


def _equalized(image: Image.Image, name: str, rule: GreyRule) -> Image.Image:
    if not rule.equalize:
        return image
    _refuse_constant(image, name)
    return Image.fromarray(equalized(np.asarray(image)))


def _look_of(image: Image.Image) -> GreyLook:
    counts_256 = np.array(image.histogram())
    up_to_256 = counts_256.cumsum() / counts_256.sum()
    darkest, brightest = np.searchsorted(up_to_256, _LOOK_SHARES)
    return GreyLook(
        num_levels=int(np.count_nonzero(counts_256)),
        darkest=int(darkest),
        brightest=int(brightest),
        colour_share=float(image.info.get(COLOUR, 0.0)),
    )


def _by_pillow(content: bytes, name: str, rule: GreyRule) -> tuple[Image.Image, str, Repair]:
    try:
        return _decoded(content, name, rule)
    except _DECODE_ERRORS as error:
        refusal = UndecodableImage(name, _decode_reason(content, error))
        bare = without_metadata(content)
        if bare is None:
            raise refusal from error
    try:
        image, mode, repairs = _decoded(bare, name, rule)
    except _DECODE_ERRORS as error:
        raise refusal from error
    return image, mode, repairs | Repair.WITHOUT_METADATA


def _decoded(content: bytes, name: str, rule: GreyRule) -> tuple[Image.Image, str, Repair]:
    if content.startswith(TIFF_SIGNATURES):
        return _decoded_tiff(content, name, rule)
    reader = next((make for magic, make in _READERS if content.startswith(magic)), None)
    if reader is None:
        raise UndecodableImage(name, _what_else(content))
    # The reader itself, not Image.open, which warns about large images: warning filters are shared
    # by all threads.
    image = reader(io.BytesIO(content))
    _refuse_large(image, name)
    if content.startswith(JPEG_SIGNATURE) and (scans := num_scans(content, MAX_SCANS)) > MAX_SCANS:
        raise UndecodableImage(name, f"{scans:,} scans: refused undecoded")
    image.load()
    grey, repairs = _as_grey(image, name, rule)
    turn = turn_of(image.info)
    if turn is None:
        return grey, image.mode, repairs
    return grey.transpose(turn), image.mode, repairs | Repair.TURNED  # keeps its info


def _decoded_tiff(content: bytes, name: str, rule: GreyRule) -> tuple[Image.Image, str, Repair]:
    image, is_inverted, is_turned = read_tiff(content, name, _refuse_large)
    grey, repairs = _as_grey(image, name, rule)
    if is_inverted:
        grey = Image.fromarray(255 - np.asarray(grey))
    return grey, image.mode, repairs | (Repair.TURNED if is_turned else AS_STORED)


def _refuse_large(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,}×{image.height:,}"
        raise UndecodableImage(name, f"{size} pixels: refused by its header")


def _read(path: Path, name: str) -> bytes:
    with open_regular(path) as file:
        content = file.read(MAX_ENCODED_BYTES + 1)
    if len(content) > MAX_ENCODED_BYTES:
        raise UndecodableImage(name, too_large_reason(path.stat().st_size))
    return content


def too_large_reason(num_bytes: int) -> str:
    """Why a file of this many bytes is refused unread."""
    return f"a file of {num_bytes / 2**20:,.0f} MiB: refused by its size"


def _what_else(content: bytes) -> str:
    """Describe a file whose first bytes match none of the known formats."""
    if not content:
        return "empty file"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, not an image"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image"
    if not content.strip(b"\0"):
        return "every byte is zero"
    if len(content) < 8 and any(magic.startswith(content) for magic, _ in _READERS):
        return "truncated"
    return "not an image"


def _decode_reason(content: bytes, error: Exception) -> str:
    cut_off = (content.startswith(PNG_SIGNATURE) and b"IEND" not in content[-64:]) or (
        content.startswith(JPEG_SIGNATURE) and b"\xff\xd9" not in content[-64:]
    )
    if cut_off or "truncated" in str(error):
        return "truncated"
    first_line = " ".join(str(error).split())[:80]
    return f"damaged: {first_line}" if first_line else "damaged"


def _as_grey(image: Image.Image, name: str, rule: GreyRule) -> tuple[Image.Image, Repair]:
    if image.mode == PLAIN_MODE:
        return image, AS_STORED
    if image.mode == "F":
        raise UndecodableImage(name, "pixels as fractions, not whole numbers")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return grey_of_colour(image), AS_STORED
    deep_HW = np.asarray(image)
    darkest, brightest = int(deep_HW.min()), int(deep_HW.max())
    if darkest < 0 or brightest > MOST_BITS_MAX:
        raise UndecodableImage(name, f"pixels of {darkest} to {brightest}: more than 16 bits")
    if rule.grey != WINDOW:
        grey_HW, _ = grey_of(deep_HW.astype(np.uint16), DEEP, rule)
        return Image.fromarray(grey_HW), AS_STORED
    grey_HW, is_cut = to_8_bits(deep_HW)
    return Image.fromarray(grey_HW), Repair.MARKER_CUT if is_cut else AS_STORED


def _refuse_constant(image: Image.Image, name: str) -> None:
    lowest, highest = image.getextrema()
    if lowest == highest:
        raise UndecodableImage(name, f"constant image (every pixel is {lowest})")
