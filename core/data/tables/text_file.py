"""The text files of a data set, checked before their names are used."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.tables.parquet import MAGIC, parquet_refused
from core.data.tables.spreadsheet_text import from_windows
from core.errors import DataError
from core.regular_file import open_regular

MAX_TABLE_BYTES = 1_000_000_000
_NUM_EXAMPLES = 3
_LONGEST_HEADER = 100_000
_LONGEST_BLANK = 100_000

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_NOT_TEXT = {
    _GZIP: "a gzip archive inside another",
    _ZIP: "a zip archive inside another",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class Count:
    """Something that was repaired, dropped or missing: why, how often, and a few examples."""

    reason: str
    images: int
    examples: tuple[str, ...] = ()


def count_of(reason: str, names: Sequence[str] | npt.NDArray[np.object_]) -> Count:
    """A Count of these names, with the first few of them as examples."""
    return Count(reason, len(names), tuple(map(str, names[:_NUM_EXAMPLES])))


@dataclass(frozen=True)
class FileText:
    """A whole text file: ``digest`` is the SHA-256 of its bytes, ``raw`` is UTF-8 without a BOM.

    ``repairs`` says what was needed to read it.
    """

    path: Path
    raw: bytes
    digest: str
    had_bom: bool
    repairs: tuple[Count, ...] = ()

    @property
    def text(self) -> str:
        """The whole text; a large table's is read line by line instead."""
        return self.raw.decode("utf-8")

    def lines(self) -> Iterator[str]:
        """The lines with their ends as they are."""
        return io.TextIOWrapper(io.BytesIO(self.raw), encoding="utf-8", newline="")


def read_text(path: Path) -> FileText:
    """Read the text of a table or list.

    Raises:
        DataError: missing, a folder, pipe or device, unreadable, empty, over a gigabyte, UTF-16,
            not UTF-8, an HTML page, parquet, an archive or image, or with a NUL byte.
    """
    stored = table_bytes(path)
    digest = hashlib.sha256(stored).hexdigest()
    raw = _unpacked(path, stored)
    del stored  # a large table's bytes are held once
    _refuse_other_formats(path, raw)
    repairs: tuple[Count, ...] = ()
    try:
        if not raw.isascii():
            raw.decode("utf-8")
    except UnicodeDecodeError as error:
        converted = from_windows(raw)
        if converted is None:
            raise DataError(
                f"not UTF-8 text (byte 0x{raw[error.start]:02x})",
                where=f"{path} line {_line_at(raw[: error.start])}",
                remedy="Save it as CSV in UTF-8.",
            ) from error
        raw, repairs = converted, (Count("text in Windows-1252 read as such", 0),)
    had_bom = raw.startswith(codecs.BOM_UTF8)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw or raw.isspace() or (len(raw) < _LONGEST_BLANK and not raw.decode().strip()):
        raise DataError("the file is empty", where=path, remedy="Fetch or export it again.")
    nul = raw.find(b"\0")
    if nul >= 0:
        raise DataError(
            "contains a NUL byte, which no name or value can have",
            where=f"{path} line {_line_at(raw[:nul])}",
            remedy="The file is damaged: fetch or export it again.",
        )
    return FileText(path, raw, digest, had_bom, repairs)


def first_line(path: Path) -> str:
    """The first line of a table, compressed or not; '' if there is none that can be read."""
    try:
        with open_regular(path) as file:
            head = file.read(4)
            file.seek(0)
            if head.startswith(_GZIP):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    line = unpacked.readline(_LONGEST_HEADER)
            elif head.startswith(_ZIP):
                with zipfile.ZipFile(file) as archive, archive.open(_only_table(archive)) as member:
                    line = member.readline(_LONGEST_HEADER)
            else:
                line = file.readline(_LONGEST_HEADER)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError):
        return ""
    return line.decode("utf-8-sig", "replace")


def _unpacked(path: Path, stored: bytes) -> bytes:
    """The bytes of a table inside ``.csv.gz`` or ``.zip``, or as they are.

    Raises:
        DataError: damaged, over a gigabyte unpacked, or a zip archive without exactly one table.
    """
    if not stored.startswith((_GZIP, _ZIP)):
        return stored
    try:
        if stored.startswith(_GZIP):
            raw = _gunzipped(stored)
        else:
            archive = zipfile.ZipFile(io.BytesIO(stored))
            with archive, archive.open(_only_table(archive)) as member:
                raw = member.read(MAX_TABLE_BYTES + 1)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        kind = "a gzip archive" if stored.startswith(_GZIP) else "a zip archive or a spreadsheet"
        raise DataError(
            f"this is {kind} that can't be read as a table ({str(error)[:100]})",
            where=path,
            remedy="Fetch it again, or save the table as CSV.",
        ) from error
    if len(raw) > MAX_TABLE_BYTES:
        raise DataError("is over 1 GB when unpacked, too large for a table", where=path)
    return raw


def _gunzipped(stored: bytes) -> bytes:
    """At most a byte more than a table may have, without the interpreter's lock.

    Raises:
        EOFError, zlib.error: damaged.
    """
    parts: list[bytes] = []
    room = MAX_TABLE_BYTES + 1
    while stored and room:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        parts.append(member.decompress(stored, room))
        room -= len(parts[-1])
        if not member.eof and room:
            raise EOFError("the file ends early")
        stored = member.unused_data.lstrip(b"\0")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _only_table(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.lower().endswith((".csv", ".txt"))]
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        what = "no CSV table" if not names else f"{len(names)} CSV tables"
        raise ValueError(f"holds {what}; one is needed")
    return names[0]


def _line_at(before: bytes) -> int:
    return max(before.count(b"\n"), before.count(b"\r")) + 1


def table_bytes(path: Path) -> bytes:
    """Read the bytes of a table or list, whatever they are.

    Raises:
        DataError: missing, a folder, pipe or device, unreadable, or over a gigabyte.
    """
    try:
        with open_regular(path) as file:
            num_bytes = os.fstat(file.fileno()).st_size
            if num_bytes > MAX_TABLE_BYTES:
                raise DataError(
                    f"{num_bytes / 1e9:.1f} GB is too large for a table (at most 1 GB)",
                    where=path,
                    remedy="Check that this is the label table and not an archive of images.",
                )
            return file.read()
    except IsADirectoryError as error:
        raise DataError(
            "is a folder, not a file", where=path, remedy="Name the file in it."
        ) from error
    except FileNotFoundError as error:
        raise DataError("no such file", where=path, remedy="Check the path.") from error
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", where=path) from error
    except ValueError as error:  # a path no file can have
        raise DataError(f"no usable path ({error})", where=repr(str(path))) from error


def _refuse_other_formats(path: Path, raw: bytes) -> None:
    head = raw[:4096]
    if head.startswith(MAGIC):
        raise parquet_refused(path)
    # UTF-16 without a byte order mark still has a zero in every other byte of ASCII text.
    zeros = head.count(b"\0")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or (zeros > 3 and zeros * 3 > len(head)):
        raise DataError(
            "the file is in UTF-16", where=path, remedy="Save it as CSV in UTF-8 instead."
        )
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<script")):
        raise DataError(
            "this is an HTML page, not a table",
            where=path,
            why="Download links often answer with a log-in or preview page",
            remedy="Fetch the file itself; its first line names the columns.",
        )
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise DataError(f"this is {what}, not a text table", where=path)


_UNSAFE = {"..": "'..'", "\\": "a backslash", "\0": "a NUL"}
_UNSAFE_IN_A_LIST = (*_UNSAFE, "\n/", "//", "/\n", "\n./", "/./", "/.\n")
"""What an unsafe name has in a list of names, one a line."""


_PRINTABLE = bytes(range(0x20, 0x7F))


def _is_printable(text: str) -> bool:
    """``str.isprintable``, faster for long texts in ASCII."""
    if text.isascii():
        return not text.encode("ascii").translate(None, _PRINTABLE)
    return text.isprintable()


@dataclass(frozen=True)
class UnsafeName:
    """A name that must not become a path: its position among the names, and why."""

    row: int
    name: str
    holds: str


def unsafe_name(names: Sequence[str]) -> UnsafeName | None:
    """The first of the names that must not become a path; None: all are fine.

    A name may have folders before it (``patient1/study1/view1.jpg``): it is compared with the files
    found, and never opened. Refused are ``..``, backslashes, NUL and other control characters, a
    leading slash, a folder without a name, and an empty name.
    """
    # All names as one long text: normally this takes a few searches and no loop.
    joined = "".join(names)
    if "" not in names and _is_printable(joined):
        listed = f"\n{chr(10).join(names)}\n"
        if not any(mark in listed for mark in _UNSAFE_IN_A_LIST):
            return None
    for row, name in enumerate(names):
        for mark, holds in _UNSAFE.items():
            if mark in name:
                return UnsafeName(row, name, holds)
        if not name:
            return UnsafeName(row, name, "nothing")
        if not name.isprintable():
            return UnsafeName(row, name, "a control character")
        if name.startswith("/"):
            return UnsafeName(row, name, "a leading slash")
        if "/" in name and not {"", "."}.isdisjoint(name.split("/")):
            return UnsafeName(row, name, "a folder without a name")
    return None
