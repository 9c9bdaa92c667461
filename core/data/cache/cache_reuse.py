"""Reuse rows of other caches of the same size.

A data set gets a new cache as soon as one image is added, or a broken one is downloaded again. Its
other images needn't be decoded twice.

Reused rows are verified by their checksums like all rows: another run may replace that cache
meanwhile, or somebody may delete it. A row that isn't intact is simply decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_rows import (
    DONE,
    CachePlace,
    Rows,
    by_digest,
    held_records,
    read_log,
)
from core.data.cache.file_signature import UNKNOWN
from core.data.cache.pixel_file import PixelFile
from core.data.cache.row_writer import Outcome
from core.data.images.image_file import ImageFile
from core.data.tables.text_file import MAX_TABLE_BYTES
from core.errors import DataError
from core.regular_file import read_regular
from core.store.own_folder import require_own


@dataclass(frozen=True, eq=False)
class Neighbour:
    """Another cache of this size."""

    place: CachePlace
    log: Rows
    pixels: PixelFile

    @cached_property
    def record_by_digest(self) -> Mapping[bytes, Rows]:
        """Its records by the digest of the decoded file."""
        return by_digest(self.log)

    def outcome(self, row: int, record: Rows, signature: int) -> Outcome | None:
        """That record's image as the outcome for our row; None if it isn't intact."""
        try:
            pixels_1SS, damaged = self.pixels.read(record["slot"][None], record["checksum"][None])
        except OSError:
            return None
        if damaged:
            return None
        ours = record.copy()
        ours["signature"] = signature
        return Outcome(row, ours, pixels_1SS[0], None)


def neighbours_of(place: CachePlace) -> list[Neighbour]:
    """The other caches of this size, sorted by name."""
    folders = sorted(place.folder.parent.glob(f"{place.family}*"))
    each = (_neighbour(place, folder) for folder in folders if folder != place.folder)
    return [neighbour for neighbour in each if neighbour is not None]


def reusable_rows(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    missing_rows: NDArray[np.int64],
    neighbours: list[Neighbour],
) -> Iterator[Outcome]:
    """Outcomes for missing rows whose file a neighbour has, by name and signature."""
    left = {place.names[row]: row for row in missing_rows.tolist()}
    for neighbour in neighbours:
        if not left:
            return
        signatures_N = np.array(
            [files[name].signature if name in left else UNKNOWN for name in neighbour.place.names],
            dtype=np.uint64,
        )
        held = held_records(neighbour.log, signatures_N)
        for record in held[held["state"] == DONE]:
            name = neighbour.place.names[record["row"]]
            if name not in left:
                continue
            outcome = neighbour.outcome(left[name], record, files[name].signature)
            if outcome is not None:
                del left[name]
                yield outcome


def _neighbour(place: CachePlace, folder: Path) -> Neighbour | None:
    try:
        require_own(folder)
        names = read_regular(folder / "names.txt", MAX_TABLE_BYTES).decode(
            "utf-8", "surrogateescape"
        )
        fingerprint = folder.name.removeprefix(place.family)
        each = tuple(names.split("\n")[:-1])
        other = CachePlace(folder, fingerprint, each, place.size_px, place.resize, place.rule)
        log = read_log(other)
        return (
            None
            if log is None
            else Neighbour(other, log, PixelFile(other.pixels_file, other.size_px))
        )
    except (OSError, DataError):
        return None
