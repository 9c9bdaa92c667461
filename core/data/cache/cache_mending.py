"""Repair damaged rows: decode their files again into new slots."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_lock import opened_lock
from core.data.cache.cache_rows import DONE, CachePlace, Rows, read_log
from core.data.cache.ingest import usable_cores
from core.data.cache.pixel_file import PixelFile
from core.data.cache.quarantine import read_quarantine
from core.data.cache.row_writer import Outcome, RowWriter
from core.data.images.decode_jobs import KnownBytes, decoded, jobs_for
from core.data.images.image_file import ImageFile
from core.errors import DataError
from core.store.own_folder import opened_own

_LOCK_SECONDS = 2.0
_SECONDS_BETWEEN_TRIES = 0.02


class Mended(NamedTuple):
    """A repaired image; ``record`` names its new slot, None if it couldn't be written."""

    pixels_SS: NDArray[np.uint8]
    record: Rows | None


def mended_rows(
    place: CachePlace, files: Mapping[str, ImageFile], damaged: Rows, open_pixels: PixelFile
) -> dict[int, Mended]:
    """Row -> image of each damaged record, decoded from its file, which must be unchanged.

    The old slots don't change: other runs may read them, and notice the damage themselves.

    Args:
        place: the cache.
        files: by name.
        damaged: records whose slots don't match their checksums.
        open_pixels: the file with those slots.

    Raises:
        DataError: a file can no longer be read or decoded, or its bytes have changed.
    """
    record_by_row = {int(record["row"]): record for record in damaged}
    jobs = jobs_for(place, files, np.array(sorted(record_by_row), dtype=np.int64))
    fresh: list[Outcome] = []
    with closing(decoded(jobs, place, usable_cores(), KnownBytes(damaged[:0]))) as outcomes:
        for outcome in outcomes:
            before = record_by_row[outcome.row]
            record, reason = outcome.record, outcome.reason
            if record is None or record["state"] != DONE:
                raise _lost(place, outcome.row, reason or "it can't be decoded")
            if not np.array_equal(record["digest"], before["digest"]):
                raise _lost(place, outcome.row, "its file has changed since it was decoded")
            fresh.append(outcome)
    kept = _kept(place, fresh, open_pixels)
    return {
        outcome.row: Mended(outcome.pixels_SS, kept.get(outcome.row))
        for outcome in fresh
        if outcome.pixels_SS is not None
    }


def _kept(place: CachePlace, fresh: list[Outcome], open_pixels: PixelFile) -> dict[int, Rows]:
    """Row -> new record; empty if the cache can't be written now, which only costs time."""
    try:
        with opened_own(place.folder) as folder, opened_lock(folder, place.lock_file.name) as lock:
            patience_ends = time.monotonic() + _LOCK_SECONDS
            while not lock.try_take():
                if time.monotonic() > patience_ends:
                    return {}
                time.sleep(_SECONDS_BETWEEN_TRIES)
            log = read_log(place)
            if log is None or not open_pixels.is_at(place.pixels_file):
                return {}
            kept = {}
            with RowWriter(folder, place, log, read_quarantine(place.quarantine_file)) as writer:
                for outcome in fresh:
                    record = writer.put(outcome)
                    if record is not None:
                        kept[outcome.row] = record
            return kept
    except (OSError, DataError):
        return {}


def _lost(place: CachePlace, row: int, why: str) -> DataError:
    return DataError(
        f"{place.names[row]} is damaged in the cache, and can't be decoded again: {why}",
        where=place.pixels_file,
        why="The run would continue with other pixels than it started with",
        remedy="Restore the original image and continue with --resume, or start a new session",
    )
