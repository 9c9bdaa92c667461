"""One encoded image -> grey pixels, or a short reason why there are none.

PNG, JPEG and BMP are told apart by their first bytes and not by their name,
so a JPEG named ``.png`` is read. Whatever the file holds becomes one grey channel
of 8 bits, the side up that its EXIF orientation says; what was converted or repaired is
named, so that it can be counted.
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

from core.data.images.deep_pixels import MOST_BITS_MAX, to_8_bits
from core.data.images.encoded_parts import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    num_scans,
    without_metadata,
)
from core.data.images.orientation import turn_of
from core.data.images.repair import AS_STORED, Repair
from core.regular_file import open_regular

DECODER_VERSION = 2
"""Part of a cache's key: raised whenever the same file would give other pixels."""

MAX_PIXELS = 100_000_000
"""An image with more pixels is refused by its header, before a pixel is decoded."""

MAX_ENCODED_BYTES = 256 * 2**20
"""A larger file is refused unread; NIH's largest image has less than a megabyte."""

MAX_SCANS = 64
"""A JPEG with more passes over its pixels is refused undecoded: each takes time, and few bytes.

Encoders make about ten; 1,500 of a file of two megabytes took a minute.
"""

PLAIN_MODE = "L"
"""Pillow's name for 8-bit grey, the one mode that needs no conversion."""

_READERS: tuple[tuple[bytes, Callable[[io.BytesIO], ImageFile.ImageFile]], ...] = (
    (PNG_SIGNATURE, PngImagePlugin.PngImageFile),
    (JPEG_SIGNATURE, JpegImagePlugin.JpegImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
# What Pillow's readers let out for a file that isn't what its first bytes promise.
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


class UndecodableImage(Exception):  # noqa: N818 - caught and counted, never shown as an error
    """This file gives no image; ``reason`` is a few words for a quarantine list."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


@dataclass(frozen=True)
class GreyImage:
    """A whole image in 8-bit grey, uint8 [H, W], the Pillow mode that it was stored in, repairs."""

    pixels_HW: NDArray[np.uint8]
    mode: str
    repairs: Repair = AS_STORED

    @property
    def converted(self) -> bool:
        """Whether it was stored as anything but 8-bit grey."""
        return self.mode != PLAIN_MODE


@dataclass(frozen=True)
class SquareImage:
    """An image at the network's input size, [size_px, size_px], and what it was before."""

    pixels_SS: NDArray[np.uint8]
    mode: str
    width_px: int
    height_px: int
    repairs: Repair = AS_STORED


def decode_grey(encoded: bytes | Path, name: str) -> GreyImage:
    """The whole image in 8-bit grey, uint8 [H, W].

    Colour becomes Rec. 601 luma (a grey RGB image keeps its values exactly); alpha is
    ignored, as NIH's RGBA files are opaque. Deeper pixels are scaled to 8 bits, see
    :func:`core.data.images.deep_pixels.to_8_bits`.

    Raises:
        UndecodableImage: the file gives no image, or a constant one.
        OSError: ``encoded`` is a path that can't be read.
    """
    image, mode, repairs = _open_grey(encoded, name)
    _refuse_constant(image, name)
    return GreyImage(np.asarray(image), mode, repairs)


def decode_square(encoded: bytes | Path, name: str, size_px: int, resize: str) -> SquareImage:
    """:func:`decode_grey` and :func:`to_square` in one, without the full-size array between.

    That copy costs 2.6 ms for a 1024-pixel image and holds Python's lock meanwhile,
    a fifth of what decoding costs with it released.

    Raises:
        UndecodableImage, OSError: as :func:`decode_grey`.
    """
    image, mode, repairs = _open_grey(encoded, name)
    if resize == "crop-skimage":
        _refuse_constant(image, name)  # before its edges are mixed with grey
    pixels_SS = _square(image, size_px, resize)
    # A constant image is still constant once shrunk, so only those need the slow look.
    if pixels_SS.min() == pixels_SS.max():
        _refuse_constant(image, name)
    return SquareImage(pixels_SS, mode, image.width, image.height, repairs)


def to_square(grey_HW: NDArray[np.uint8], size_px: int, resize: str) -> NDArray[np.uint8]:
    """uint8 [H, W] -> uint8 [size_px, size_px].

    Bilinear with antialiasing, which is what torchvision's published weights saw.
    ``squash`` shrinks each axis on its own, ``crop`` cuts the central square first.
    ``crop-skimage`` is what torchxrayvision's weights saw: see :func:`_as_skimage`.
    """
    return _square(Image.fromarray(grey_HW), size_px, resize)


def square_region(width_px: int, height_px: int, resize: str) -> tuple[int, int, int, int]:
    """The part of an image that fills the square: left, top, right, bottom in its own pixels.

    Boxes and maps go through the same rectangle: x -> (x - left) * size_px / (right - left).
    """
    if resize == "squash":
        return 0, 0, width_px, height_px
    if resize in ("crop", "crop-skimage"):
        side_px = min(width_px, height_px)
        left, top = (width_px - side_px) // 2, (height_px - side_px) // 2
        if resize == "crop-skimage":  # XRayCenterCrop's middle may lie one pixel further
            left, top = width_px // 2 - side_px // 2, height_px // 2 - side_px // 2
        return left, top, left + side_px, top + side_px
    raise ValueError(f"resize must be 'squash', 'crop' or 'crop-skimage', got {resize!r}")


def _square(image: Image.Image, size_px: int, resize: str) -> NDArray[np.uint8]:
    region = square_region(image.width, image.height, resize)
    if resize == "crop-skimage":
        return _as_skimage(np.asarray(image.crop(region)), size_px)
    small = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=region)
    return np.asarray(small)


def _as_skimage(grey_DD: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """A square image through torchxrayvision's XRayResizer, in bytes.

    It scales grey to -1024 … 1024 and calls ``skimage.transform.resize(mode="constant")``: a
    Gaussian of sigma (D / size_px - 1) / 2 where the image shrinks, then linear interpolation at
    pixel centres. Beyond the edge both take 0, which is mid-grey on that scale, so the outermost
    pixels are mixed with it. scikit-image 0.26 does this by the two calls of SciPy below. Bytes
    cost half a grey level of 255 (4 of 2,048).
    """
    from scipy import ndimage  # slow at the door

    scaled_DD = (2 * (grey_DD.astype(np.float32) / 255) - 1) * 1024
    lowest, highest = scaled_DD.min(), scaled_DD.max()
    shrinking = len(grey_DD) / size_px
    if shrinking > 1:
        sigma_px = (shrinking - 1) / 2
        scaled_DD = ndimage.gaussian_filter(scaled_DD, sigma_px, mode="grid-constant")
    scaled_SS = ndimage.zoom(
        scaled_DD, 1 / shrinking, order=1, mode="grid-constant", grid_mode=True
    ).clip(lowest, highest)
    grey_SS: NDArray[np.uint8] = np.rint((scaled_SS / 1024 + 1) / 2 * 255).astype(np.uint8)
    return grey_SS


def _open_grey(encoded: bytes | Path, name: str) -> tuple[Image.Image, str, Repair]:
    content = _read(encoded, name) if isinstance(encoded, Path) else encoded
    try:
        return _decoded(content, name)
    except _DECODE_ERRORS as error:
        refusal = UndecodableImage(name, _decode_reason(content, error))
        bare = without_metadata(content)
        if bare is None:
            raise refusal from error
    try:
        image, mode, repairs = _decoded(bare, name)
    except _DECODE_ERRORS as error:
        raise refusal from error
    return image, mode, repairs | Repair.WITHOUT_METADATA


def _decoded(content: bytes, name: str) -> tuple[Image.Image, str, Repair]:
    reader = next((make for magic, make in _READERS if content.startswith(magic)), None)
    if reader is None:
        raise UndecodableImage(name, _what_else(content))
    # The reader itself and not Image.open: that one warns about large images, and a
    # warning filter is shared by all threads.
    image = reader(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,}×{image.height:,}"
        raise UndecodableImage(name, f"{size} pixels: refused by its header")
    if content.startswith(JPEG_SIGNATURE) and (scans := num_scans(content, MAX_SCANS)) > MAX_SCANS:
        raise UndecodableImage(name, f"{scans:,} scans: refused undecoded")
    image.load()
    grey, repairs = _as_grey(image, name)
    turn = turn_of(image.info)
    if turn is None:
        return grey, image.mode, repairs
    return grey.transpose(turn), image.mode, repairs | Repair.TURNED


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
    """What a file is that starts like none of the known formats."""
    if not content:
        return "empty file"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, not an image"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image"
    if content[128:132] == b"DICM":
        return "a DICOM file: convert it to PNG"
    if content.startswith((b"II*\0", b"MM\0*")):
        # Its reader sends warnings about damaged tags past every except clause.
        return "a TIFF file: convert it to PNG"
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


def _as_grey(image: Image.Image, name: str) -> tuple[Image.Image, Repair]:
    if image.mode == PLAIN_MODE:
        return image, AS_STORED
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image.convert("L"), AS_STORED
    deep_HW = np.asarray(image)
    darkest, brightest = int(deep_HW.min()), int(deep_HW.max())
    if darkest < 0 or brightest > MOST_BITS_MAX:
        raise UndecodableImage(name, f"pixels of {darkest} to {brightest}: more than 16 bits")
    grey_HW, is_cut = to_8_bits(deep_HW)
    return Image.fromarray(grey_HW), Repair.MARKER_CUT if is_cut else AS_STORED


def _refuse_constant(image: Image.Image, name: str) -> None:
    lowest, highest = image.getextrema()
    if lowest == highest:
        raise UndecodableImage(name, f"constant image (every pixel is {lowest})")
