"""Damage and malice for files: of bytes, of lines and cells, of JSON, of what is packed inside.

A mutation is a short list of steps, each a few small numbers, so that hypothesis can shrink a
find to the one step that matters.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

PAYLOADS: tuple[bytes, ...] = (
    *(
        b"",
        b"\0",
        b"\x1b[2J\x1b]0;x\x07",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3\x28",
        b"\xed\xa0\x80",
    ),
    *(b"9" * 400, b"9" * 5000, b"-1", b"1e308", b"-1e309", b"NaN", b"Infinity", b"1_0", b"0x1F"),
    *(b"9223372036854775808", b"4294967295", b"0.0", b"true", b"null", b"[]", b"{}", b'""'),
    *(
        b"[" * 3000,
        b'{"a":' * 2000,
        b"a." * 3000,
        b'"',
        b"'" * 3,
        b'"""',
        b"\n",
        b"\r",
        b"\t",
        b",",
    ),
    *(b"," * 3000, b"x" * 140_000, b"../../etc/passwd", b"/dev/zero", b"~nobody-here/x", b"=1+1"),
    *("\u202e\u2028ÅΩ漢😀".encode(), b"\\ud800", b"\\u0000", b"#", b"=", b"|", b"No Finding|Mass"),
    *(b"(I0\n.", b"cos\nsystem\n(S'id'\ntR.", b"\x80\x02", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"),
    *(b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x00" * 8, b"<html>", b"0", b"1"),
)
_JSON_VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 10**18, 10**400, 1e308, -1e308, float("nan"), float("inf"), 0.5, "", "x"),
    *("nan", "\x1b[31m", "\ud800", "é" * 30_000, [], [[]], [1, 2], {}, {"a": {"b": 1}}, [None]),
    *({"Mass": "x"}, {"Mass": []}, ["Mass"] * 2000, {"x" * 9: 1e308}, [0.1, "2"], "Mass", 2**53),
)


@dataclass(frozen=True)
class Step:
    """One mutation: which, where (shares of 2**16), how much, with what."""

    act: int
    place: int
    other: int
    payload: int


STEPS = st.lists(
    st.builds(
        Step,
        act=st.integers(0, 16),
        place=st.integers(0, 2**16 - 1),
        other=st.integers(0, 2**16 - 1),
        payload=st.integers(0, len(PAYLOADS) * len(_JSON_VALUES) - 1),
    ),
    min_size=1,
    max_size=5,
)


def mutated(content: bytes, steps: Sequence[Step], others: Sequence[bytes]) -> bytes:
    """The file after every step."""
    for step in steps:
        if step.act <= 6:
            content = _bytes_mutated(content, step, others)
        elif step.act <= 10:
            content = _lines_mutated(content, step)
        elif step.act in (11, 14, 15, 16):  # most often: what has a shape goes deepest
            content = _json_lines_mutated(content, step)
        else:
            content = _inside_mutated(content, step, others)
    return content[: 4 * 2**20]


def _at(size: int, share: int) -> int:
    return size * share >> 16


def _payload(step: Step) -> bytes:
    return PAYLOADS[step.payload % len(PAYLOADS)]


def _bytes_mutated(content: bytes, step: Step, others: Sequence[bytes]) -> bytes:
    start = _at(len(content) + 1, step.place)
    stop = min(len(content), start + 1 + _at(64, step.other))
    if step.act == 0 and content:
        place = min(start, len(content) - 1)
        flipped = content[place] ^ (1 << step.other % 8)
        return content[:place] + bytes([flipped]) + content[place + 1 :]
    if step.act == 1:
        return content[:start]
    if step.act == 2:
        return content[:start] + content[stop:]
    if step.act == 3:
        return content[:start] + content[start:stop] * (2 + step.other % 50) + content[stop:]
    if step.act == 4:
        return content[:start] + _payload(step) + content[start:]
    if step.act == 5:
        return content[:start] + _payload(step) + content[start + len(_payload(step)) :]
    other = others[step.payload % len(others)]
    return content[:start] + other[_at(len(other) + 1, step.other) :]


def _lines_mutated(content: bytes, step: Step) -> bytes:
    lines = content.split(b"\n")
    row = _at(len(lines), step.place)
    if step.act == 7:  # twice, or many times
        lines[row : row + 1] = [lines[row]] * (2 if step.other % 2 else 200)
    elif step.act == 8:  # two columns change places, in every row
        lines = [b",".join(_swapped(line.split(b","), step.other)) for line in lines]
    elif step.act == 9:  # one cell, or what stands behind the equals sign
        mark = b"," if b"," in lines[row] else b"="
        cells = lines[row].split(mark)
        cells[_at(len(cells), step.other)] = _payload(step)
        lines[row] = mark.join(cells)
    else:
        lines[row] = _payload(step)
    return b"\n".join(lines)


def _swapped(cells: list[bytes], share: int) -> list[bytes]:
    first, second = share % len(cells), (share // 7) % len(cells)
    cells[first], cells[second] = cells[second], cells[first]
    return cells


def _json_lines_mutated(content: bytes, step: Step) -> bytes:
    """One value anywhere in one line's JSON, or in the JSON that the file is."""
    lines = [content] if b"\n" not in content.strip() else content.split(b"\n")
    row = _at(len(lines), step.place)
    try:
        tree = json.loads(lines[row])
    except (ValueError, RecursionError):
        return content
    value = _JSON_VALUES[step.payload % len(_JSON_VALUES)]
    lines[row] = _with_leaf(tree, step.other, value)
    return b"\n".join(lines)


def _with_leaf(tree: object, which: int, value: object) -> bytes:
    places: list[tuple[object, object]] = []
    waiting = [tree]
    while waiting:
        at_hand = waiting.pop()
        keys = at_hand.items() if isinstance(at_hand, dict) else ()
        keys = enumerate(at_hand) if isinstance(at_hand, list) else keys
        for key, inner in keys:
            places.append((at_hand, key))
            waiting.append(inner)
    if not places:
        return json.dumps(value).encode()
    holder, key = places[which % len(places)]
    holder[key] = value  # type: ignore[index]
    return json.dumps(tree).encode()


def _inside_mutated(content: bytes, step: Step, others: Sequence[bytes]) -> bytes:
    """What is packed in the file, with the packing's own lengths and checks made to agree."""
    for magic, unpack, pack in _PACKINGS:
        if content.startswith(magic):
            try:
                parts = unpack(content)
            except (ValueError, IndexError, KeyError, struct.error, zipfile.BadZipFile, EOFError):
                return content
            if parts:
                which = _at(len(parts), step.place) if step.act == 12 else 0
                inner = Step(step.other % 12, step.payload % 2**16, step.place, step.payload)
                name, body = parts[which]
                parts[which] = name, mutated(body, [inner], others)
            return pack(parts)
    return content


Parts = list[tuple[bytes, bytes]]


def _unpacked_zip(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [
            (member.filename.encode(), archive.read(member)) for member in archive.infolist()
        ]
    return sorted(members, key=lambda part: not part[0].endswith(b"data.pkl"))


def _packed_zip(parts: Parts) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, body in parts:
            archive.writestr(name.decode(), body)
    return stream.getvalue()


def _unpacked_png(content: bytes) -> Parts:
    parts, place = [], 8
    while place < len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        name = content[place + 4 : place + 8]
        parts.append((name, content[place + 8 : place + 8 + size]))
        place += 12 + size
    return parts


def _packed_png(parts: Parts) -> bytes:
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _unpacked_safetensors(content: bytes) -> Parts:
    size = int.from_bytes(content[:8], "little")
    if size > len(content) or content[8:9] != b"{":
        raise ValueError("no safetensors")
    return [(b"header", content[8 : 8 + size]), (b"body", content[8 + size :])]


def _packed_safetensors(parts: Parts) -> bytes:
    return struct.pack("<Q", len(parts[0][1])) + b"".join(body for _, body in parts)


_PACKINGS: tuple[tuple[bytes, Callable[[bytes], Parts], Callable[[Parts], bytes]], ...] = (
    (b"PK", _unpacked_zip, _packed_zip),
    (b"\x89PNG", _unpacked_png, _packed_png),
    (b"", _unpacked_safetensors, _packed_safetensors),
)
