"""Rows that an earlier cache of the same size already has.

A data set is a new one, with a cache of its own, as soon as one image is added, or a broken
one fetched again. Its other images need no second decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.cache_rows import DONE, CachePlace, Rows, read_rows
from core.data.image_files import ImageFile
from core.data.row_writer import Outcome
from core.data.text_file import MAX_TABLE_BYTES
from core.regular_file import read_regular


def reusable_rows(
    place: CachePlace, files: Mapping[str, ImageFile], missing_rows: NDArray[np.int64]
) -> Iterator[Outcome]:
    """Outcomes for those missing rows that stand in another cache of this size beside it.

    An image is taken to be the same where its name, size in bytes and time of change are,
    as within one cache.
    """
    left = set(missing_rows.tolist())
    for folder in sorted(place.folder.parent.glob(f"{place.family}*")):
        if not left:
            return
        other = _neighbour(place, folder)
        rows = None if other is None else read_rows(other)
        if other is None or rows is None:
            continue
        pairs = _same_images(place, files, left, other, rows)
        if not pairs:
            continue
        shape = (len(rows), place.size_px, place.size_px)
        pixels_NSS = np.memmap(other.pixels_file, np.uint8, mode="r", shape=shape)
        for row, other_row in pairs:
            left.discard(row)
            yield Outcome(row, rows[other_row].copy(), np.array(pixels_NSS[other_row]), None)


def _neighbour(place: CachePlace, folder: Path) -> CachePlace | None:
    if folder == place.folder:
        return None
    try:
        names = read_regular(folder / "names.txt", MAX_TABLE_BYTES).decode(
            "utf-8", "surrogateescape"
        )
    except OSError:
        return None
    fingerprint = folder.name.removeprefix(place.family)
    return CachePlace(
        folder, fingerprint, tuple(names.split("\n")[:-1]), place.size_px, place.resize
    )


def _same_images(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    missing: set[int],
    other: CachePlace,
    rows: Rows,
) -> list[tuple[int, int]]:
    """(row here, row there) of each missing image that is done there."""
    pairs = []
    for row in sorted(missing):
        file = files[place.names[row]]
        other_row = other.row_by_name.get(file.name)
        if other_row is None:
            continue
        record = rows[other_row]
        if (
            record["state"] == DONE
            and record["num_bytes"] == file.num_bytes
            and record["mtime_ns"] == file.mtime_ns
        ):
            pairs.append((row, other_row))
    return pairs
