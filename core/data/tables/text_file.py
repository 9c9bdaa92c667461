"""Text files that a data set is described by, checked before a name in them is believed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import DataError
from core.regular_file import open_regular

MAX_TABLE_BYTES = 1_000_000_000
_NUM_EXAMPLES = 3

_NOT_TEXT = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
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
    """A whole text file: ``digest`` is the SHA-256 of its bytes, ``text`` has no BOM."""

    path: Path
    text: str
    digest: str
    had_bom: bool


def read_text(path: Path) -> FileText:
    """The text of a table or list.

    Raises:
        DataError: not there, a folder, pipe or device, unreadable, empty, over a gigabyte,
            UTF-16, not UTF-8, an HTML page, an archive or image, or holding a NUL byte.
    """
    raw = table_bytes(path)
    digest = hashlib.sha256(raw).hexdigest()
    _refuse_other_formats(path, raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 text (byte 0x{raw[error.start]:02x})",
            where=f"{path} line {_line_at(raw[: error.start].decode('latin-1'))}",
            remedy="Save it as CSV in UTF-8.",
        ) from error
    had_bom = text.startswith("\ufeff")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise DataError("the file is empty", where=path, remedy="Fetch or export it again.")
    nul = text.find("\0")
    if nul >= 0:
        raise DataError(
            "a NUL byte, which no name or value can hold",
            where=f"{path} line {_line_at(text[:nul])}",
            remedy="The file is damaged: fetch or export it again.",
        )
    return FileText(path, text, digest, had_bom)


def _line_at(before: str) -> int:
    return max(before.count("\n"), before.count("\r")) + 1


def table_bytes(path: Path) -> bytes:
    """The bytes of a table or list, whatever they are.

    Raises:
        DataError: not there, a folder, pipe or device, unreadable, or over a gigabyte.
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
    except ValueError as error:  # a path that no file can have
        raise DataError(f"no usable path ({error})", where=repr(str(path))) from error


def _refuse_other_formats(path: Path, raw: bytes) -> None:
    head = raw[:4096]
    # UTF-16 without its mark still shows as a zero in every other byte of plain letters.
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


@dataclass(frozen=True)
class UnsafeName:
    """A name that must not become a path: where it stands among the names, and what it holds."""

    row: int
    name: str
    holds: str


def unsafe_name(names: Sequence[str]) -> UnsafeName | None:
    """The first of the names that must not become a path; None: all are fine.

    A name may have folders before it (``patient1/study1/view1.jpg``): it is compared with what a
    walk found, and never opened. Refused are ``..``, backslashes, NUL and other control characters,
    a slash at the start, a folder without a name, and no name at all.
    """
    # The names as one long text: the usual case costs a few searches and no loop.
    joined = "".join(names)
    is_usual = not any(mark in joined for mark in (*_UNSAFE, "/"))
    if is_usual and joined.isprintable() and "" not in names:
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
            return UnsafeName(row, name, "a slash at its start")
        if "/" in name and not {"", "."}.isdisjoint(name.split("/")):
            return UnsafeName(row, name, "a folder without a name")
    return None
