"""The header of a DICOM file, read before its pixels, and what is refused by it.

pydicom parses the header; it is loaded with the first DICOM that is met. Pixels stay where they are
in the file, so that a header that lies about them costs no memory.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from core.data.images.dicom_cells import whole_number, word
from core.data.images.refusal import UndecodableImage, no_picture

if TYPE_CHECKING:
    from pydicom import Dataset

RLE = "1.2.840.10008.1.2.5"

_PREAMBLE_BYTES = 128
MAGIC_END = _PREAMBLE_BYTES + 4
"""Bytes by which a DICOM file is recognised."""
SYNTAX_END = MAGIC_END + 1024
"""Bytes in which its transfer syntax stands."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_LENGTH = struct.Struct("<HH2sHI")  # (0002,0000) UL: bytes of file meta that follow it
_UNDEFINED = 0xFFFF_FFFF
_LONG_LENGTHS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
# Elements of group 0008 or 0002, little endian, whose length or value representation fits.
_BARE = re.compile(rb"[\x02\x08]\x00[\x00-\x70]\x00(?:[A-Z]{2}|[\x02-\x40]\x00\x00\x00)")

_KEYWORDS = (
    *("SOPClassUID", "Modality", "NumberOfFrames", "SamplesPerPixel", "Rows", "Columns"),
    *("PhotometricInterpretation", "PlanarConfiguration", "PresentationLUTShape"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "BurnedInAnnotation"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
)
_NO_PICTURES = (
    ("1.2.840.10008.1.3.10", "a DICOMDIR, a table of contents"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "a key object selection"),
    ("1.2.840.10008.5.1.4.1.1.88.", "a structured report"),
    ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state"),
    ("1.2.840.10008.5.1.4.1.1.104.", "an encapsulated document"),
    ("1.2.840.10008.5.1.4.1.1.9.", "a waveform"),
)
_NO_PICTURE_MODALITIES = {
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "DOC": "an encapsulated document",
}


@dataclass(frozen=True)
class DicomFile:
    """A header and where its pixels are.

    Attributes:
        header: the elements that the picture depends on, and no others.
        content: the file, inflated where it was deflated.
        syntax: transfer syntax; '' if the file doesn't say it.
        is_little: byte order.
        is_guessed: preamble or transfer syntax is missing.
        pixels_at: where the pixels start in ``content``; None if there are none.
        pixels_bytes: as the file says; None for compressed pixels, which end at a mark.
        is_words: whether pixels are in 16-bit words (OW), which big endian swaps.
    """

    header: Dataset
    content: bytes
    syntax: str
    is_little: bool
    is_guessed: bool
    pixels_at: int | None
    pixels_bytes: int | None
    is_words: bool

    @property
    def is_uncoded(self) -> bool:
        """Whether colours are as the header says; decoders return RGB."""
        return self.pixels_bytes is not None or self.syntax == RLE


@dataclass(frozen=True)
class Layout:
    """What the header says about the pixels, checked."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric: str

    @property
    def num_bytes(self) -> int:
        """Bytes of one uncompressed picture."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def is_dicom(content: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file, whatever its name; 132 are enough."""
    return content[_PREAMBLE_BYTES:MAGIC_END] == b"DICM" or (_BARE.match(content) is not None)


def is_deflated(content: bytes) -> bool:
    """Whether the elements are deflated; the first ``SYNTAX_END`` bytes are enough."""
    return _DEFLATED in content[MAGIC_END:SYNTAX_END]


def read_file(
    content: bytes, name: str, most_bytes: int, tags: Sequence[int] | None = None
) -> DicomFile:
    """Read the header: the elements of a picture, or those with ``tags``.

    Raises:
        UndecodableImage: deflated content exceeds ``most_bytes``, or the file is no picture.
        Exception: the header is damaged, see ``core.data.images.dicom``.
    """
    pydicom = loaded_pydicom()
    has_preamble = content[_PREAMBLE_BYTES:MAGIC_END] == b"DICM"
    syntax, meta_class = "", ""
    if has_preamble and (inflated := _inflated(content, name, most_bytes)) is not None:
        content, syntax = inflated, _DEFLATED.decode()
        stream = io.BytesIO(content)
        header = pydicom.filereader.read_dataset(
            stream,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag >= 0x7FE0_0008,
            specific_tags=list(tags or _tags()),
        )
        is_implicit, is_little = False, True
    else:
        stream = io.BytesIO(content)
        header = pydicom.dcmread(
            stream,
            stop_before_pixels=True,
            force=not has_preamble,
            specific_tags=list(tags or _tags()),
        )
        syntax = str(header.file_meta.get("TransferSyntaxUID") or "")
        meta_class = str(header.file_meta.get("MediaStorageSOPClassUID") or "")
        is_implicit, is_little = (flag is not False for flag in header.original_encoding)
    refuse_no_picture(header, meta_class, name)
    place = _pixels_of(content, stream.tell(), is_implicit, is_little)
    at, num_bytes, is_words = place or (None, None, False)
    is_guessed = not has_preamble or not syntax
    return DicomFile(header, content, syntax, is_little, is_guessed, at, num_bytes, is_words)


def layout_of(file: DicomFile, name: str, most_pixels: int) -> Layout:
    """What the header says about the pixels.

    Raises:
        UndecodableImage: it is no single picture of a size and kind that are read.
    """
    header = file.header
    rows, columns = whole_number(header, "Rows", 0), whole_number(header, "Columns", 0)
    frames, samples = (
        whole_number(header, key, 1) for key in ("NumberOfFrames", "SamplesPerPixel")
    )
    bits_allocated = whole_number(header, "BitsAllocated", 0)
    bits_stored = whole_number(header, "BitsStored", bits_allocated)
    photometric = word(header, "PhotometricInterpretation")
    size = f"{columns:,}×{rows:,}"
    refusals = (
        (file.pixels_at is None, "a DICOM file without pixel data"),
        (rows < 1 or columns < 1, f"{size} pixels: no size of a picture"),
        (rows * columns > most_pixels, f"{size} pixels: refused by its header"),
        (frames > 1, f"{frames:,} frames: no plain radiograph"),
        (samples not in (1, 3), f"{samples} samples a pixel"),
        (bits_allocated not in (8, 16), f"{bits_allocated} bits a pixel, not 8 or 16"),
        (samples == 3 and bits_allocated != 8, f"colour of {bits_allocated} bits"),
        (not 1 <= bits_stored <= bits_allocated, f"{bits_stored} bits stored of {bits_allocated}"),
        (photometric == "PALETTE COLOR", "palette colour: no radiograph"),
    )
    reason = next((why for is_so, why in refusals if is_so), None)
    if reason is not None:
        raise UndecodableImage(name, reason)
    high_bit = whole_number(header, "HighBit", bits_stored - 1)
    if not bits_stored - 1 <= high_bit < bits_allocated:
        high_bit = bits_stored - 1
    is_signed = whole_number(header, "PixelRepresentation", 0) == 1
    return Layout(
        rows, columns, samples, bits_allocated, bits_stored, high_bit, is_signed, photometric
    )


def tags_of(keywords: Iterable[str]) -> list[int]:
    """The tags of these elements; pydicom looks each up for each file otherwise."""
    loaded_pydicom()
    from pydicom.datadict import tag_for_keyword

    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


@cache
def _tags() -> list[int]:
    return tags_of(_KEYWORDS)


@cache
def loaded_pydicom():  # type: ignore[no-untyped-def]
    """pydicom, silent: it warns about odd values, and warning filters are shared by all threads."""
    import pydicom

    warnings.filterwarnings("ignore", module=r"pydicom\.")
    return pydicom


def header_errors() -> tuple[type[Exception], ...]:
    """pydicom's own errors, which are no kinds of Python's."""
    errors = loaded_pydicom().errors
    return errors.InvalidDicomError, errors.BytesLengthException


def refuse_no_picture(header: Dataset, meta_class: str, name: str) -> None:
    """Refuse structured reports and the like, which lie among images.

    Raises:
        UndecodableImage: it is such a file.
    """
    sop_class = str(header.get("SOPClassUID") or meta_class)
    what = next((what for uid, what in _NO_PICTURES if sop_class.startswith(uid)), None)
    what = what or _NO_PICTURE_MODALITIES.get(word(header, "Modality"))
    if what is not None:
        raise UndecodableImage(name, no_picture(what))


def _inflated(content: bytes, name: str, most_bytes: int) -> bytes | None:
    """The data set of a deflated file; None for other files."""
    if not is_deflated(content):
        return None
    group, element, _, _, length = _META_LENGTH.unpack_from(content, MAGIC_END)
    if (group, element) != (2, 0):
        raise ValueError("no length of the file meta information")
    start = MAGIC_END + _META_LENGTH.size + length
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = stream.decompress(content[start:], most_bytes)
    if stream.unconsumed_tail:
        raise UndecodableImage(name, f"inflates to more than {most_bytes / 2**20:,.0f} MiB")
    return inflated


def _pixels_of(
    content: bytes, place: int, is_implicit: bool, is_little: bool
) -> tuple[int, int | None, bool] | None:
    """Where the pixels start, their bytes (None if compressed), and whether they are words."""
    order = "<" if is_little else ">"
    if place + 8 > len(content):
        return None
    group, element = struct.unpack_from(f"{order}HH", content, place)
    if (group, element) != (0x7FE0, 0x0010):
        return None
    representation = content[place + 4 : place + 6]
    if is_implicit or not representation.isalpha():  # some writers change over within a file
        (length,) = struct.unpack_from(f"{order}I", content, place + 4)
        start, is_words = place + 8, True
    elif representation in _LONG_LENGTHS:
        (length,) = struct.unpack_from(f"{order}I", content, place + 8)
        start, is_words = place + 12, representation == b"OW"
    else:
        raise ValueError(f"pixel data of the kind {representation!r}")
    return start, None if length == _UNDEFINED else length, is_words
