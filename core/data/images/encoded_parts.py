"""Separate the image data of an encoded PNG or JPEG from its metadata.

Text, resolution or colour profile of a scanner or converter may be damaged, or longer than a reader
accepts, while all pixels are intact. Without those parts the image can be read.
"""

from __future__ import annotations

import re
import struct
import zlib

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"

_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PNG_ORIENTATION = b"eXIf"
_CHUNK_FRAME_BYTES = 12  # length, kind, checksum

_SCAN = b"\xff\xda"
# Not markers: stuffed zeros, restarts and fill bytes in the coded pixels.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_WITHOUT_LENGTH = b"\x01\xd8"
# APP0 and APP14 define the colour coding; other segments and comments are metadata.
_JPEG_LEFT_OUT = bytes([*range(0xE1, 0xEE), 0xEF, 0xFE])


def without_metadata(content: bytes) -> bytes | None:
    """The same image without metadata; None if nothing could be removed."""
    if content.startswith(PNG_SIGNATURE):
        bare = _bare_png(content)
    elif content.startswith(JPEG_SIGNATURE):
        bare = _bare_jpeg(content)
    else:
        return None
    return bare if len(bare) < len(content) else None


def num_scans(content: bytes, enough: int) -> int:
    """Number of scans of a JPEG, ignoring those in a thumbnail or a comment.

    If there can't be more than ``enough``, the count is only approximate, which takes a fraction of
    a millisecond for two megabytes.
    """
    rough = content.count(_SCAN)
    if rough <= enough:
        return rough
    scans, place = 0, 2
    while found := _MARKER.search(content, place):
        place, marker = found.end(), found[1]
        if marker == b"\xd9":
            break
        scans += marker == _SCAN[1:]
        if marker not in _WITHOUT_LENGTH:
            place += int.from_bytes(content[place : place + 2], "big")
    return scans


def _bare_png(content: bytes) -> bytes:
    """Header, palette, pixels and end, with an intact EXIF chunk for the orientation."""
    kept, place = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while place + _CHUNK_FRAME_BYTES <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + _CHUNK_FRAME_BYTES + length
        chunk = content[place:end]
        is_critical = not kind[:1].islower()  # by the PNG specification
        if kind in _PNG_KEPT or is_critical or (kind == _PNG_ORIENTATION and _is_whole(chunk)):
            kept.append(chunk)
        if kind == b"IEND":
            break
        place = end
    return b"".join(kept)


def _is_whole(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _bare_jpeg(content: bytes) -> bytes:
    """Everything except application segments and comments before the first scan."""
    kept, place = [content[:2]], 2
    while found := _MARKER.match(content, place):
        marker = found[1]
        end = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
        if marker in _WITHOUT_LENGTH or marker == _SCAN[1:] or end == found.end():
            break
        if marker not in _JPEG_LEFT_OUT:
            kept.append(content[place:end])
        place = end
    return b"".join([*kept, content[place:]])
