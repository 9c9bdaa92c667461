"""A DICOM radiograph as 8-bit grey.

Header first, then the stored pixels, the modality step, the VOI step, 8 bits, and last the
inversion of MONOCHROME1, which PhotometricInterpretation alone decides.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.images.colour import grey_of_colour
from core.data.images.dicom_cells import first_number, word
from core.data.images.dicom_file import DicomFile, Layout, header_errors, layout_of, read_file
from core.data.images.dicom_frames import stored_words
from core.data.images.dicom_voi import modality_values, voi_of
from core.data.images.grey_levels import Levels, grey_of
from core.data.images.grey_rule import GreyRule
from core.data.images.refusal import UndecodableImage
from core.data.images.repair import AS_STORED, Repair

DICOM_MODE = "DICOM"
"""Stands for Pillow's mode where an image was a DICOM file in grey."""

# What pydicom and the decoders raise for damaged files: nearly anything.
_DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, BufferError, struct.error, zlib.error, SyntaxError),
)
_LAWFUL_SHAPES = {"MONOCHROME1": ("", "INVERSE"), "MONOCHROME2": ("", "IDENTITY")}


def read_dicom(
    content: bytes, name: str, rule: GreyRule, *, most_pixels: int, most_bytes: int
) -> tuple[Image.Image, str, Repair]:
    """The picture in Pillow's mode L, how it was stored, and repairs.

    Raises:
        UndecodableImage: the file is damaged, or no single radiograph.
    """
    with named_errors(name, "header"):
        file = read_file(content, name, most_bytes)
        layout = layout_of(file, name, most_pixels)
    with named_errors(name, "pixel data"):
        words = stored_words(file, layout, name)
    with named_errors(name, "grey levels"):
        return _grey(file, layout, words, rule)


@contextmanager
def named_errors(name: str, damaged: str) -> Iterator[None]:
    """Turn any error of a damaged file into an UndecodableImage.

    It leaves out the error's own words, which may quote the header: names stand there.
    """
    try:
        yield
    except _DAMAGED + header_errors() as error:
        is_cut = isinstance(error, EOFError)
        reason = "truncated" if is_cut else f"damaged {damaged} ({type(error).__name__})"
        raise UndecodableImage(name, reason) from error


def _grey(
    file: DicomFile, layout: Layout, words: NDArray[Any], rule: GreyRule
) -> tuple[Image.Image, str, Repair]:
    repairs = Repair.SYNTAX_GUESSED if file.is_guessed else AS_STORED
    if word(file.header, "BurnedInAnnotation") == "YES":
        repairs |= Repair.BURNED_IN
    if layout.samples == 3:
        is_ybr = layout.photometric == "YBR_FULL" and file.is_uncoded
        return _luma(words, is_ybr=is_ybr), "RGB", repairs
    shape = word(file.header, "PresentationLUTShape")
    if shape not in _LAWFUL_SHAPES.get(layout.photometric, (shape,)):
        repairs |= Repair.SHAPE_CONTRADICTS
    levels, of_levels = _levels(file, layout, words)
    grey_HW, window_was_useless = grey_of(words, levels, rule)
    if window_was_useless:
        of_levels |= Repair.WINDOW_UNUSABLE
    return Image.fromarray(grey_HW), DICOM_MODE, repairs | of_levels


def _levels(file: DicomFile, layout: Layout, words_HW: NDArray[Any]) -> tuple[Levels, Repair]:
    stored_W, repairs = _stored_values(layout, words_HW)
    values_W, rises = modality_values(file.header, stored_W, is_little=file.is_little)
    voi, is_useless = voi_of(file.header, is_little=file.is_little)
    if is_useless:
        repairs |= Repair.WINDOW_UNUSABLE
    levels = Levels(
        values_W,
        voi,
        is_inverted=layout.photometric == "MONOCHROME1",
        # Else the words of negative or masked values aren't in their order.
        rises=rises and bool((np.diff(stored_W[: int(words_HW.max()) + 1]) >= 0).all()),
        is_left_out_W=_padding(file, stored_W),
    )
    return levels, repairs


def _stored_values(layout: Layout, words_HW: NDArray[Any]) -> tuple[NDArray[np.int64], Repair]:
    """The stored value of each word, [256] or [65536].

    Bits above BitsStored are an overlay in some files; in others BitsStored is too small, and
    masking would wrap bright pixels round to dark ones. The picture is the smoother of both.
    """
    num_bits = 8 * words_HW.dtype.itemsize
    bits_stored = min(layout.bits_stored, num_bits)
    shift = max(0, min(layout.high_bit, num_bits - 1) + 1 - bits_stored)
    word_W = np.arange(1 << num_bits, dtype=np.int64)
    masked_W = _signed(word_W >> shift & (1 << bits_stored) - 1, bits_stored, layout.is_signed)
    whole_W = _signed(word_W >> shift, num_bits - shift, layout.is_signed)
    if bits_stored + shift == num_bits or int(words_HW.max()) < 1 << (bits_stored + shift):
        return masked_W, AS_STORED
    if (masked_W[words_HW] == whole_W[words_HW]).all():  # negative values, their sign extended
        return masked_W, AS_STORED
    is_whole = _roughness(whole_W[words_HW]) <= _roughness(masked_W[words_HW])
    return whole_W if is_whole else masked_W, Repair.BITS_ABOVE_STORED


def _signed(value_W: NDArray[np.int64], num_bits: int, is_signed: bool) -> NDArray[np.int64]:
    if not is_signed:
        return value_W
    return np.where(value_W >> (num_bits - 1) & 1, value_W - (1 << num_bits), value_W)


def _roughness(values_HW: NDArray[np.int64]) -> int:
    """The sum of differences between neighbours."""
    return sum(int(np.abs(np.diff(values_HW, axis=axis)).sum()) for axis in (0, 1))


def _padding(file: DicomFile, stored_W: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Stored values that are no tissue, by PixelPaddingValue and PixelPaddingRangeLimit."""
    value = _stored_number(file, "PixelPaddingValue")
    if value is None:
        return None
    limit = _stored_number(file, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    is_left_out_W: NDArray[np.bool_] = (stored_W >= low) & (stored_W <= high)
    return is_left_out_W


def _stored_number(file: DicomFile, keyword: str) -> float | None:
    """A number whose bytes have no known sign where value representations are implicit."""
    value = file.header.get(keyword)
    if not isinstance(value, bytes):
        return first_number(file.header, keyword)
    if len(value) != 2:
        return None
    is_signed = file.header.get("PixelRepresentation") == 1
    order = "little" if file.is_little else "big"
    return float(int.from_bytes(value, order, signed=is_signed))  # type: ignore[arg-type]


def _luma(words_HW3: NDArray[np.uint8], *, is_ybr: bool) -> Image.Image:
    """Grey of a picture in colour; Y is the same Rec. 601 luma."""
    if is_ybr:
        return Image.fromarray(np.ascontiguousarray(words_HW3[:, :, 0]))
    return grey_of_colour(Image.fromarray(np.ascontiguousarray(words_HW3)))
