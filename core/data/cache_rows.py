"""A cache's files: which row is which image, and what is known about each row.

    cache/224px-squash-v1-<fingerprint>/
        manifest.json     what the rows are: the key, in full
        names.txt         row order, one image a line
        pixels.u8         bytes [rows, size_px, size_px]; sparse where rows are absent
        rows.bin          one record of 64 bytes a row: absent, done or quarantined, of which file
        quarantine.csv    the quarantined ones by name and reason
        lock              held by whoever is writing

Readers need no lock: a row is done only once its bytes are on disk, and a record that
is torn, or not this row's, fails its check and counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.data.decode import DECODER_VERSION
from core.data.image_files import ImageFile, images_fingerprint
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json, write_whole

ABSENT, DONE, QUARANTINED = 0, 1, 2

DIGEST_BYTES = 16

# 64 bytes, so that no record straddles a disk sector: it is written or it isn't.
ROW = np.dtype(
    [
        ("state", "u1"),
        ("mode", "S7"),
        ("width_px", "<u4"),
        ("height_px", "<u4"),
        ("num_bytes", "<i8"),
        ("mtime_ns", "<i8"),
        ("digest", "u1", DIGEST_BYTES),
        ("unused", "<u8"),
        ("check", "<u8"),
    ]
)
_WORDS = ROW.itemsize // 8
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: odd, its bits well spread

Rows = NDArray[np.void]
"""Records of ``ROW``, one an image, in the order of the names."""


@dataclass(frozen=True)
class CachePlace:
    """Where one data set's images at one size are kept, and in which order."""

    folder: Path
    fingerprint: str
    names: tuple[str, ...]
    size_px: int
    resize: str

    @property
    def family(self) -> str:
        """What the folders of all caches of this size begin with."""
        return f"{self.size_px}px-{self.resize}-v{DECODER_VERSION}-"

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.size_px * self.size_px

    @property
    def pixels_file(self) -> Path:
        """Bytes [rows, size_px, size_px]."""
        return self.folder / "pixels.u8"

    @property
    def rows_file(self) -> Path:
        """Records of ``ROW``."""
        return self.folder / "rows.bin"

    @property
    def quarantine_file(self) -> Path:
        """The quarantined images by name and reason."""
        return self.folder / "quarantine.csv"

    @property
    def lock_file(self) -> Path:
        """Locked by whoever writes; never removed, as somebody may be waiting on it."""
        return self.folder / "lock"

    @cached_property
    def row_by_name(self) -> Mapping[str, int]:
        """Name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    @property
    def manifest(self) -> dict[str, object]:
        """What must be the same for the rows to be these images at this size."""
        return {
            "format": 1,
            "fingerprint": self.fingerprint,
            "images": len(self.names),
            "size_px": self.size_px,
            "resize": self.resize,
            "decoder": DECODER_VERSION,
        }


def place_for(
    cache_root: Path, files: Mapping[str, ImageFile], size_px: int, resize: str
) -> CachePlace:
    """Where the cache of these images at this size belongs; touches no disk."""
    fingerprint = images_fingerprint(files)
    place = CachePlace(cache_root, fingerprint, tuple(sorted(files)), size_px, resize)
    return replace(place, folder=cache_root / f"{place.family}{fingerprint}")


def read_rows(place: CachePlace) -> Rows | None:
    """The records as they are on disk, damaged ones as absent.

    None where there is no cache at this place yet, or where what is there is no cache of
    these images (a manifest that can't be read or says otherwise, a file of another size).
    """
    try:
        manifest = json.loads(read_regular(place.folder / "manifest.json", MOST_JSON_BYTES))
        content = read_regular(place.rows_file, len(place.names) * ROW.itemsize)
        num_pixels = place.pixels_file.stat().st_size
    except (OSError, ValueError, RecursionError):
        return None
    num_rows = len(place.names)
    if (
        manifest != place.manifest
        or len(content) != num_rows * ROW.itemsize
        or num_pixels != num_rows * place.row_bytes
    ):
        return None
    rows = np.frombuffer(content, ROW).copy()
    damaged = rows["check"] != _checks(rows, np.arange(num_rows))
    rows[damaged | (rows["state"] > QUARANTINED)] = np.zeros((), ROW)
    return rows


def create_rows(place: CachePlace) -> Rows:
    """Make the cache anew, every row absent; whoever reads the old one keeps the old files.

    Raises:
        OSError: the folder can't be written or the disk is full.
    """
    manifest_file = place.folder / "manifest.json"
    manifest_file.unlink(missing_ok=True)  # until the last file is there, this is no cache
    rows = np.zeros(len(place.names), ROW)
    # Its blocks are taken now, so that a full disk can still be told which rows are done.
    write_whole(place.rows_file, rows.tobytes())

    def all_holes(file: BinaryIO) -> None:
        file.truncate(len(place.names) * place.row_bytes)

    write_whole(place.pixels_file, all_holes)
    names = "".join(f"{name}\n" for name in place.names)
    write_whole(place.folder / "names.txt", names.encode("utf-8", "surrogateescape"))
    write_json(manifest_file, place.manifest)
    return rows


def sealed(rows: Rows, row_numbers: NDArray[np.int64]) -> Rows:
    """The records with the check that belongs to their row numbers."""
    checked = rows.copy()
    checked["check"] = _checks(rows, row_numbers)
    return checked


def settled_rows(
    place: CachePlace, files: Mapping[str, ImageFile], rows: Rows, reasons: Mapping[str, str]
) -> Rows:
    """The records that hold for the files as they are now; those that don't, as absent.

    A record holds while its file has the same size and time of change; a quarantined one
    needs its reason as well, so that nobody is told of an image that nobody can explain.
    """
    each = [files[name] for name in place.names]
    num_bytes_N = np.array([file.num_bytes for file in each], dtype=np.int64)
    mtimes_ns_N = np.array([file.mtime_ns for file in each], dtype=np.int64)
    holds_N = (rows["num_bytes"] == num_bytes_N) & (rows["mtime_ns"] == mtimes_ns_N)
    for row in np.flatnonzero(rows["state"] == QUARANTINED):
        holds_N[row] &= place.names[row] in reasons
    settled = rows.copy()
    settled[~holds_N] = np.zeros((), ROW)
    return settled


def content_digest(content: bytes) -> NDArray[np.uint8]:
    """The digest by which a file is known again after its time of change was touched."""
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
    return np.frombuffer(digest, np.uint8)


def _checks(rows: Rows, row_numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit sum over each record's other words and its row number."""
    words = np.ascontiguousarray(rows).view(np.uint64).reshape(-1, _WORDS)[:, : _WORDS - 1]
    total = row_numbers.astype(np.uint64) * _MIX
    for word in words.T:
        total = (total ^ word) * _MIX
        total ^= total >> np.uint64(29)
    return total
