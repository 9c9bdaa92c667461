"""The stored pixels of a DICOM file: uncompressed, run-length coded, or by a decoder."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from core.data.images.dicom_file import RLE, DicomFile, Layout, loaded_pydicom
from core.data.images.encoded_parts import num_scans
from core.data.images.refusal import UndecodableImage

MAX_SCANS = 64
"""A JPEG with more scans is refused undecoded: each takes time, but few bytes.

Encoders write about ten; 1,500 scans in a file of two megabytes took a minute.
"""

_END = b"\xff\xd9"
_J2K = b"\xff\x4f\xff\x51"
_JP2_START = 512  # where a code stream starts, if it is in boxes
_SIZE_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_LOSSLESS, _JPEG_LS = 0xC3, 0xF7
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_INSTALL = 'reading it needs pip install "cxr-tui[dicom]"'


def stored_words(file: DicomFile, layout: Layout, name: str) -> NDArray[Any]:
    """Pixels as stored, uint8 or uint16 [H, W], or uint8 [H, W, 3] in the file's own colours.

    Raises:
        UndecodableImage: the pixels are not those that the header promises, or can't be read here.
        Exception: the pixels are damaged, see ``core.data.images.dicom``.
    """
    if file.pixels_bytes is not None:
        return _native(file, layout, name)
    frame = _frame(file)
    if file.syntax == RLE:
        return _run_length(frame, layout)
    return _decoded(frame, layout, name)


def _native(file: DicomFile, layout: Layout, name: str) -> NDArray[Any]:
    assert file.pixels_at is not None and file.pixels_bytes is not None  # noqa: PT018
    there = len(file.content) - file.pixels_at
    if there < min(file.pixels_bytes, layout.num_bytes):
        raise UndecodableImage(name, "truncated")
    # A byte makes the length even; some writers add more, but no more of a picture.
    end = file.pixels_at + layout.num_bytes
    surplus = file.content[end : file.pixels_at + file.pixels_bytes]
    is_padded = len(surplus) <= 1 or not surplus.strip(b"\0")
    if file.pixels_bytes < layout.num_bytes or not is_padded:
        raise UndecodableImage(
            name,
            f"{file.pixels_bytes:,} bytes of pixels where {layout.columns:,}×{layout.rows:,} of "
            f"{layout.bits_allocated} bits are {layout.num_bytes:,}: its header is wrong",
        )
    order = "<" if file.is_little else ">"
    if layout.bits_allocated == 16:
        kind = np.dtype(f"{order}u2")
        words = np.frombuffer(file.content, kind, layout.num_bytes // 2, file.pixels_at)
    elif file.is_words and not file.is_little:
        # Two pixels of 8 bits in each big endian word, the first in its low byte.
        pairs = np.frombuffer(file.content, "<u2", (layout.num_bytes + 1) // 2, file.pixels_at)
        words = pairs.byteswap().view(np.uint8)[: layout.num_bytes]
    else:
        words = np.frombuffer(file.content, np.uint8, layout.num_bytes, file.pixels_at)
    if not words.dtype.isnative:
        words = words.astype(np.uint16)
    if layout.samples == 1:
        return words.reshape(layout.rows, layout.columns)
    if file.header.get("PlanarConfiguration") == 1:
        return words.reshape(3, layout.rows, layout.columns).transpose(1, 2, 0)
    if layout.photometric == "YBR_FULL_422":
        raise UndecodableImage(name, "colour of halved width, uncompressed")
    return words.reshape(layout.rows, layout.columns, 3)


def _frame(file: DicomFile) -> bytes:
    """The first compressed picture, of one or more fragments."""
    loaded_pydicom()
    from pydicom.encaps import get_frame

    stream = io.BytesIO(file.content)
    stream.seek(file.pixels_at or 0)
    frame = get_frame(stream, 0, number_of_frames=1)
    return bytes(frame)


def _run_length(frame: bytes, layout: Layout) -> NDArray[Any]:
    """PS3.5 annex G: a segment for each byte of each sample, the highest byte first."""
    num_segments, *starts = struct.unpack_from("<16I", frame)
    bytes_each = layout.bits_allocated // 8
    if num_segments != layout.samples * bytes_each:
        raise ValueError(f"{num_segments} segments")
    ends = [*starts[1:num_segments], len(frame)]
    num_pixels = layout.rows * layout.columns
    planes = [
        np.frombuffer(_unpacked(frame[start:end], num_pixels), np.uint8)
        for start, end in zip(starts, ends, strict=False)
    ]
    if layout.samples == 3:
        return np.stack(planes, axis=1).reshape(layout.rows, layout.columns, 3)
    if bytes_each == 1:
        return planes[0].reshape(layout.rows, layout.columns)
    words = planes[0].astype(np.uint16) << np.uint16(8) | planes[1]
    return words.reshape(layout.rows, layout.columns)


def _unpacked(segment: bytes, size: int) -> bytes:
    """The first ``size`` bytes of a segment; no more is unpacked."""
    unpacked, place = bytearray(), 0
    while len(unpacked) < size:
        if place >= len(segment):
            raise EOFError("truncated")
        head = segment[place]
        if head < 128:
            unpacked += segment[place + 1 : place + 2 + head]
            place += head + 2
        elif head > 128:
            unpacked += segment[place + 1 : place + 2] * (257 - head)
            place += 2
        else:
            place += 1
    return bytes(unpacked[:size])


def _decoded(frame: bytes, layout: Layout, name: str) -> NDArray[Any]:
    """A JPEG of any kind; by what it is, since transfer syntaxes are sometimes wrong or missing."""
    kind, rows, columns, bits = _coded_size(frame)
    if (rows, columns) != (layout.rows, layout.columns):
        raise UndecodableImage(
            name,
            f"{columns:,}×{rows:,} pixels inside, {layout.columns:,}×{layout.rows:,} by its header",
        )
    if kind.startswith("JPEG") and (scans := num_scans(frame, MAX_SCANS)) > MAX_SCANS:
        raise UndecodableImage(name, f"{scans:,} scans: refused undecoded")
    if kind == "JPEG" and bits == 8:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(frame))
        image.load()
        words = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    else:
        words = _by_codec(frame, kind, name)
    if words.dtype in (np.int16, np.int8):
        words = words.view(f"u{words.itemsize}")
    expected = (layout.rows, layout.columns) + ((3,) if layout.samples == 3 else ())
    if words.shape != expected or words.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels {words.shape} of the kind {words.dtype}")
    if not layout.is_signed and bits < 8 * words.itemsize:
        words = words & words.dtype.type((1 << bits) - 1)
    return words


def _by_codec(frame: bytes, kind: str, name: str) -> NDArray[Any]:
    try:
        import imagecodecs
    except ImportError as error:
        reason = f"compressed as {kind}: {_INSTALL}"
        raise UndecodableImage(name, reason, for_now=True) from error
    if kind == "JPEG 2000":
        return np.asarray(imagecodecs.jpeg2k_decode(frame))
    if kind == "JPEG-LS":
        if not frame.rstrip(b"\0").endswith(_END):
            raise EOFError("truncated")  # CharLS would take seconds to say so
        return np.asarray(imagecodecs.jpegls_decode(frame))
    return np.asarray(imagecodecs.jpeg8_decode(frame))


def _coded_size(frame: bytes) -> tuple[str, int, int, int]:
    """Kind, rows, columns and bits by the compressed picture itself.

    Raises:
        ValueError, struct.error: it is no JPEG of any kind.
    """
    at = frame.find(_J2K, 0, _JP2_START)
    if at >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
        return "JPEG 2000", bottom - top, right - left, (frame[at + 42] & 0x7F) + 1
    if not frame.startswith(b"\xff\xd8"):
        raise ValueError("no JPEG inside")
    place = 2
    while True:
        place = frame.index(b"\xff", place) + 1
        marker = frame[place]
        if marker in _SIZE_MARKERS:
            bits, rows, columns = struct.unpack_from(">BHH", frame, place + 3)
            kinds = {_LOSSLESS: "JPEG Lossless", _JPEG_LS: "JPEG-LS"}
            otherwise = "JPEG" if bits == 8 else f"JPEG of {bits} bits"
            return kinds.get(marker, otherwise), rows, columns, bits
        place += 1
        if marker not in _WITHOUT_LENGTH and marker != 0xFF:
            place += struct.unpack_from(">H", frame, place)[0]
        elif marker == 0xFF:
            place -= 1
