"""A cache's files: which images it has, and where their bytes are.

    cache/224px-squash-v2-<fingerprint>/ manifest.json the complete key of the cache names.txt row
        order, one image per line pixels.u8 slots of bytes [size_px, size_px]; sparse if a slot is
        empty rows.bin a log of 64-byte records: row, digest of its file, slot quarantine.csv
        quarantined images by name and reason lock held by the writer

A slot that a record names is never overwritten. If a file's bytes change, or a slot is damaged, its
image gets a new slot and a new record. So a run that trains on the old images can still read them,
and two data sets of the same names and sizes can coexist.

Readers need no lock: a record is written only after its slot's bytes are on disk, and a torn or
misplaced record fails its check and is skipped. A record has the digest of the decoded file and the
checksum of its slot's bytes.
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
import xxhash
from numpy.typing import NDArray

from core.data.cache.file_signature import UNKNOWN
from core.data.images.decode import DECODER_VERSION
from core.data.images.grey_rule import DEFAULT, GreyRule
from core.data.images.image_file import ImageFile
from core.data.images.image_files import images_fingerprint
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json, write_whole

ABSENT, DONE, QUARANTINED = 0, 1, 2

FORMAT = 2
"""Format version. The first identified a file by size and time alone, without checksums of
slots."""

FILES = ("manifest.json", "names.txt", "pixels.u8", "rows.bin", "quarantine.csv")
"""The files that a writer writes; ``lock`` is separate."""

NO_SLOT = 2**32 - 1
"""The slot number of a quarantined image."""

DIGEST_BYTES = 16

# 64 bytes, so that no record crosses a disk sector: writes are atomic.
ROW = np.dtype(
    [
        ("state", "u1"),
        ("mode", "S6"),
        ("repairs", "u1"),
        ("width_px", "<u4"),
        ("height_px", "<u4"),
        ("row", "<u4"),
        ("slot", "<u4"),
        ("signature", "<u8"),
        ("digest", "u1", DIGEST_BYTES),
        ("checksum", "<u8"),
        ("check", "<u8"),
    ]
)
_WORDS = ROW.itemsize // 8
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: odd, with well-mixed bits

Rows = NDArray[np.void]
"""Records of ``ROW``: one for each image in the order of names, or the log in its own order."""

_MOST_RECORDS_PER_IMAGE = 8
_MOST_SLOTS_PER_IMAGE = 3
_SPARE_RECORDS = 4096


@dataclass(frozen=True)
class CachePlace:
    """The folder of one data set's images at one size, and their order."""

    folder: Path
    fingerprint: str
    names: tuple[str, ...]
    size_px: int
    resize: str
    rule: GreyRule = DEFAULT

    @property
    def family(self) -> str:
        """The common name prefix of all caches of this size and rule."""
        return f"{self.size_px}px-{self.resize}{self.rule.suffix}-v{DECODER_VERSION}-"

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.size_px * self.size_px

    @property
    def pixels_file(self) -> Path:
        """Bytes [slots, size_px, size_px]."""
        return self.folder / "pixels.u8"

    @property
    def rows_file(self) -> Path:
        """The log of records."""
        return self.folder / "rows.bin"

    @property
    def quarantine_file(self) -> Path:
        """The quarantined images by name and reason."""
        return self.folder / "quarantine.csv"

    @property
    def lock_file(self) -> Path:
        """Locked by the writer; never removed, since others may be waiting for it."""
        return self.folder / "lock"

    @cached_property
    def row_by_name(self) -> Mapping[str, int]:
        """Name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    @property
    def manifest(self) -> dict[str, object]:
        """The key: what must match for the rows to be these images at this size."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "images": len(self.names),
            "size_px": self.size_px,
            "resize": self.resize,
            "decoder": DECODER_VERSION,
            **self.rule.to_json(),
        }


def place_for(
    cache_root: Path,
    files: Mapping[str, ImageFile],
    size_px: int,
    resize: str,
    rule: GreyRule = DEFAULT,
) -> CachePlace:
    """The place of the cache for these images at this size; doesn't access the disk."""
    fingerprint = images_fingerprint(files)
    place = CachePlace(cache_root, fingerprint, tuple(sorted(files)), size_px, resize, rule)
    return replace(place, folder=cache_root / f"{place.family}{fingerprint}")


def read_log(place: CachePlace) -> Rows | None:
    """The records on disk; damaged ones and those without their slot count as absent.

    None if there is no cache at this place yet, or it isn't for these images (its manifest can't be
    read or differs).
    """
    try:
        manifest = _manifest(place)
        content = read_regular(place.rows_file, most_records(place) * ROW.itemsize)
        num_slots = place.pixels_file.stat().st_size // place.row_bytes
    except (OSError, ValueError, RecursionError):
        return None
    if manifest != place.manifest:
        return None
    log = np.frombuffer(content, ROW, count=len(content) // ROW.itemsize).copy()
    holds = log["check"] == _checks(log, np.arange(len(log)))
    holds &= (log["state"] <= QUARANTINED) & (log["row"] < len(place.names))
    holds &= (log["state"] != DONE) | (log["slot"] < num_slots)
    log[~holds] = np.zeros((), ROW)
    return log


def is_of_an_earlier_format(place: CachePlace) -> bool:
    """Whether an earlier version made the existing cache."""
    try:
        manifest = _manifest(place)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") in range(1, FORMAT)


def create_log(place: CachePlace) -> Rows:
    """Create an empty cache; readers of an old one keep the old files.

    Raises:
        OSError: the folder can't be written or the disk is full.
    """
    manifest_file = place.folder / "manifest.json"
    manifest_file.unlink(missing_ok=True)  # not a cache until the last file is written
    log = np.zeros(len(place.names), ROW)
    # Allocate its blocks now, so that finished rows can be recorded even on a full disk.
    write_whole(place.rows_file, log.tobytes())

    def all_holes(file: BinaryIO) -> None:
        file.truncate(len(place.names) * place.row_bytes)

    write_whole(place.pixels_file, all_holes)
    names = "".join(f"{name}\n" for name in place.names)
    write_whole(place.folder / "names.txt", names.encode("utf-8", "surrogateescape"))
    write_json(manifest_file, place.manifest)
    return log


def shortened(place: CachePlace, log: Rows) -> Rows:
    """The log; rewritten without superseded records if it has grown long.

    Raises:
        OSError: the folder can't be written or the disk is full.
    """
    if len(log) + len(place.names) <= most_records(place):
        return log
    of_row_and_slot = log["row"].astype(np.int64) << 32 | log["slot"]
    _, last_backwards = np.unique(of_row_and_slot[::-1], return_index=True)
    kept = log[np.sort(len(log) - 1 - last_backwards)]
    kept = kept[kept["state"] != ABSENT]
    kept = sealed(kept, np.arange(len(kept)))
    write_whole(place.rows_file, kept.tobytes())
    return kept


def most_records(place: CachePlace) -> int:
    """The maximum number of records in a log."""
    return _MOST_RECORDS_PER_IMAGE * len(place.names) + _SPARE_RECORDS


def has_room(place: CachePlace, log: Rows) -> bool:
    """Whether slots are left; if not, most belong to files that no longer exist."""
    slots = log["slot"][log["state"] == DONE]
    return not len(slots) or int(slots.max()) < (_MOST_SLOTS_PER_IMAGE - 1) * len(place.names)


def sealed(records: Rows, places: NDArray[np.int64]) -> Rows:
    """The records with the check for their places in the log."""
    checked = records.copy()
    checked["check"] = _checks(records, places)
    return checked


def settled_rows(
    place: CachePlace, files: Mapping[str, ImageFile], log: Rows, reasons: Mapping[str, str]
) -> Rows:
    """One record for each image: the valid one for its current file; otherwise absent.

    A record is valid while its file's signature is unchanged; a quarantined one also needs its
    reason, so that each can be explained. The last valid one counts.
    """
    signatures_N = np.array([files[name].signature for name in place.names], dtype=np.uint64)
    held = held_records(log, signatures_N)
    unexplained = [
        number
        for number in np.flatnonzero(held["state"] == QUARANTINED).tolist()
        if place.names[held["row"][number]] not in reasons
    ]
    held = np.delete(held, unexplained)
    settled = np.zeros(len(place.names), ROW)
    settled[held["row"]] = held
    return settled


def held_records(log: Rows, signatures_N: NDArray[np.uint64]) -> Rows:
    """The records whose file has their signature; ``UNKNOWN`` never matches."""
    holds = (log["state"] != ABSENT) & (log["signature"] != UNKNOWN)
    holds &= log["signature"] == signatures_N[log["row"]]
    held: Rows = log[holds]
    return held


def by_digest(log: Rows) -> dict[bytes, Rows]:
    """The last record with a slot for each file digest."""
    done = log[log["state"] == DONE]
    return {record["digest"].tobytes(): record for record in done}


def content_digest(content: bytes) -> NDArray[np.uint8]:
    """The digest that identifies a file's bytes."""
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
    return np.frombuffer(digest, np.uint8)


def pixels_checksum(pixels_SS: NDArray[np.uint8]) -> int:
    """The checksum of one slot's bytes, at a microsecond per image."""
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(pixels_SS).data)


def _manifest(place: CachePlace) -> object:
    return json.loads(read_regular(place.folder / "manifest.json", MOST_JSON_BYTES))


def _checks(records: Rows, places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit checksum over each record's other words and its place in the log."""
    words = np.ascontiguousarray(records).view(np.uint64).reshape(-1, _WORDS)[:, : _WORDS - 1]
    total = places.astype(np.uint64) * _MIX
    for word in words.T:
        total = (total ^ word) * _MIX
        total ^= total >> np.uint64(29)
    return total
