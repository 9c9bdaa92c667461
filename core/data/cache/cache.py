"""A data set's images at one size, decoded once to bytes in a file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_mending import mended_rows
from core.data.cache.cache_rows import (
    ABSENT,
    DIGEST_BYTES,
    DONE,
    ROW,
    CachePlace,
    Rows,
    place_for,
    read_log,
)
from core.data.cache.ingest import IngestProgress, Settled, ingest, settled_on_disk
from core.data.cache.pixel_file import PixelFile
from core.data.cache.quarantine import refuse_above_share
from core.data.images.decode import PLAIN_MODE
from core.data.images.grey_rule import DEFAULT, GreyRule
from core.data.images.image_file import ImageFile
from core.data.images.repair import Repair
from core.errors import DataError

__all__ = ["ImageCache", "IngestProgress", "cache_size_bytes", "count_ready", "open_cache"]

_PLAIN = PLAIN_MODE.encode()
MAX_QUARANTINED_SHARE = 0.001
CONTENT_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class ImageCache:
    """One data set's images at one size; any number of readers, without locks.

    ``names`` is the row order: every image of the data set, sorted, whether or not its row is
    filled. ``quarantined`` has the wanted images that can't be decoded, with the reason;
    ``converted`` counts the wanted images that were not stored as 8-bit grey, by Pillow's mode
    (``{"RGBA": 4}``), ``repaired`` those with other repairs. ``notices`` are messages about how the
    cache was made.
    """

    folder: Path
    size_px: int
    names: tuple[str, ...] = field(repr=False)
    quarantined: Mapping[str, str]
    converted: Mapping[str, int]
    repaired: Mapping[Repair, int]
    notices: tuple[str, ...]
    _place: CachePlace = field(repr=False)
    _files: Mapping[str, ImageFile] = field(repr=False)
    _rows: Rows = field(repr=False)
    _pixels: PixelFile = field(repr=False)
    _mended: list[str] = field(default_factory=list, repr=False)
    _mending: Lock = field(default_factory=Lock, repr=False)

    def rows_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The row of each name, int64 [len(names)].

        Raises:
            DataError: an image is quarantined, was not wanted, or is not in this data set.
        """
        row_by_name = self._place.row_by_name
        rows = np.fromiter(
            (row_by_name.get(name, -1) for name in names), np.int64, count=len(names)
        )
        filled = (rows >= 0) & (self._rows["state"][rows] == DONE)
        if not filled.all():
            name = names[int(np.argmin(filled))]
            raise DataError(
                f"{name} has no pixels here: {self.quarantined.get(name, 'it was not requested')}",
                where=self.folder,
            )
        return rows

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images in these rows, uint8 [len(rows), size_px, size_px], as a copy.

        Damaged ones are decoded again from their files, see ``take_mended``.

        Raises:
            OSError: the disk fails.
            DataError: an image is damaged, and its file is no longer the one that was decoded.
        """
        records = self._rows[rows]
        pixels_RSS, damaged = self._pixels.read(records["slot"], records["checksum"])
        if damaged:
            self._mend(rows[damaged], pixels_RSS, damaged)
        return pixels_RSS

    def _mend(
        self, rows: NDArray[np.int64], pixels_RSS: NDArray[np.uint8], damaged: list[int]
    ) -> None:
        with self._mending:
            distinct_rows = np.unique(rows)
            mended = mended_rows(self._place, self._files, self._rows[distinct_rows], self._pixels)
            for row, number in zip(rows.tolist(), damaged, strict=True):
                pixels_RSS[number] = mended[row].pixels_SS
            for row, image in mended.items():
                if image.record is not None:  # it has a new slot from now on
                    self._rows[row] = image.record
                self._mended.append(self.names[row])

    def read_otherwise(self) -> dict[str, int]:
        """Number of images that were converted or repaired, by kind."""
        grey = {f"stored as {mode}, made grey": count for mode, count in self.converted.items()}
        return grey | {repair.in_words: count for repair, count in self.repaired.items()}

    def take_mended(self) -> list[str]:
        """The images that were damaged in the cache and decoded again since the last call."""
        with self._mending:
            mended = sorted(set(self._mended))
            self._mended.clear()
        return mended

    def content_digest(self, names: Collection[str]) -> str:
        """A digest of the names and the bytes of these images' files."""
        names = sorted(names)
        digest = hashlib.blake2b(digest_size=CONTENT_DIGEST_BYTES)
        for name, of_file in zip(names, self.digests(self.rows_of(names)), strict=True):
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + of_file.tobytes())
        return digest.hexdigest()

    def met_with_other_bytes(self, names: Collection[str]) -> list[str]:
        """The images that this cache has seen with other bytes than now."""
        log = read_log(self._place)
        if log is None:
            return []
        log = log[(log["state"] != ABSENT) & (self._rows["state"][log["row"]] != ABSENT)]
        others = (log["digest"] != self._rows["digest"][log["row"]]).any(axis=1)
        met = {self.names[row] for row in log["row"][others].tolist()}
        return sorted(met.intersection(names))

    def digests(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """Digests of these rows' files, [len(rows)]."""
        digests_R16 = np.ascontiguousarray(self._rows["digest"][rows])
        return digests_R16.view(np.dtype((np.void, DIGEST_BYTES)))[:, 0]

    def pixel_checksums(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """XXH3 of these rows' pixels at the cache's size, [len(rows)]."""
        checksums: NDArray[np.uint64] = self._rows["checksum"][rows].astype(np.uint64)
        return checksums

    def original_sizes_px(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height of the original images of these rows, int64 [len(rows), 2]."""
        records = self._rows[rows]
        return np.stack([records["width_px"], records["height_px"]], axis=1).astype(np.int64)


def open_cache(
    folder: Path,
    files: Mapping[str, ImageFile],
    wanted: Collection[str],
    *,
    size_px: int,
    resize: str,
    rule: GreyRule = DEFAULT,
    max_quarantined_share: float = MAX_QUARANTINED_SHARE,
    progress: Callable[[IngestProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    threads: int | None = None,
) -> ImageCache:
    """Open the wanted images as bytes; missing or changed ones are decoded now.

    A complete cache is opened without a lock and without writing. A file whose signature has
    changed is read again, and decoded if its bytes are new.

    Args:
        folder: the user's cache folder; each data set and size has its own subfolder.
        files: every image of the data set that was found, by name.
        wanted: the names that are needed; other rows are left alone.
        size_px: side of the square images.
        resize: ``squash``, ``crop`` or ``crop-skimage``, see
            :func:`core.data.images.square.to_square`.
        rule: from stored values to grey.
        max_quarantined_share: refuse if a larger share of ``wanted`` can't be decoded.
        progress: called during the ingest, a few times a second.
        should_stop: called many times a second.
        threads: decoding threads; default: one for each core that this run may use.

    Raises:
        DataError: too many images can't be decoded, an archive is damaged, the disk is full or the
            folder can't be written. Decoded images are kept.
        StoppedError: ``should_stop`` returned True. Decoded images are kept.
    """
    place = place_for(folder, files, size_px, resize, rule)
    wanted_rows_W = _wanted_rows(place, wanted)
    settled = settled_on_disk(place, files)
    if (settled.rows["state"][wanted_rows_W] == ABSENT).any():
        settled = ingest(
            place, files, wanted_rows_W, progress=progress, should_stop=should_stop, threads=threads
        )
    quarantined = {
        place.names[row]: settled.reasons[place.names[row]]
        for row in wanted_rows_W[settled.rows["state"][wanted_rows_W] != DONE]
    }
    refuse_above_share(
        quarantined, len(wanted_rows_W), max_quarantined_share, place.quarantine_file, files
    )
    return _readable(place, files, settled, wanted_rows_W, quarantined)


def _readable(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    settled: Settled,
    wanted_rows_W: NDArray[np.int64],
    quarantined: Mapping[str, str],
) -> ImageCache:
    wanted_records = settled.rows[wanted_rows_W]
    done_records = wanted_records[wanted_records["state"] == DONE]
    modes = Counter(done_records["mode"].tolist())
    try:
        pixels = PixelFile(place.pixels_file, place.size_px)
    except OSError as error:
        raise DataError(
            f"the cache can't be read: {error}",
            where=place.pixels_file,
            remedy="Allow reading it, or name another folder with --cache DIR",
        ) from error
    return ImageCache(
        folder=place.folder,
        size_px=place.size_px,
        names=place.names,
        quarantined=quarantined,
        converted={mode.decode(): count for mode, count in sorted(modes.items()) if mode != _PLAIN},
        repaired={
            repair: count
            for repair in Repair
            if (count := int(np.count_nonzero(done_records["repairs"] & repair)))
        },
        notices=settled.notices,
        _place=place,
        _files=files,
        _rows=settled.rows,
        _pixels=pixels,
    )


def count_ready(
    folder: Path,
    files: Mapping[str, ImageFile],
    wanted: Collection[str],
    *,
    size_px: int,
    resize: str,
    rule: GreyRule = DEFAULT,
) -> int:
    """Number of wanted images that are already decoded; opens no image, writes nothing."""
    place = place_for(folder, files, size_px, resize, rule)
    settled = settled_on_disk(place, files)
    return int(np.count_nonzero(settled.rows["state"][_wanted_rows(place, wanted)] != ABSENT))


def cache_size_bytes(num_images: int, size_px: int) -> int:
    """Size on disk of this many images at this size."""
    return num_images * (size_px * size_px + ROW.itemsize)


def _wanted_rows(place: CachePlace, wanted: Collection[str]) -> NDArray[np.int64]:
    unknown = sorted(set(wanted).difference(place.row_by_name))
    if unknown or not wanted:
        raise DataError(
            f"{len(unknown):,} of the wanted images were not found, such as {unknown[0]}"
            if unknown
            else "no images are wanted, so there is nothing to prepare"
        )
    return np.array([place.row_by_name[name] for name in sorted(set(wanted))], dtype=np.int64)
