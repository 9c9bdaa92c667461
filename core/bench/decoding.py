"""How fast images are decoded: on one core, on all cores, and in a run's ingest."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.bench.blocks import Blocks
from core.bench.rounds import Rounds
from core.data.cache.cache import open_cache
from core.data.cache.ingest import IngestProgress, usable_cores
from core.data.images.archives import stream_archive
from core.data.images.decode import MAX_ENCODED_BYTES, decode_square
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.errors import DataError
from core.regular_file import open_regular

ROUNDS = 3
_FIRST_IMAGES = 8
_QUARANTINED_SHARE = 0.5
"""One of a few images is a large share; the run itself checks the limit."""


@dataclass(frozen=True)
class Decoding:
    """Rates in images per second.

    Attributes:
        one_core: one thread that decodes and resizes files already in memory.
        all_cores: the same with one thread per core.
        ingest: a run's ingest: read, digest, decode on all cores, write to disk.
        cores: number that this process may use.
        images: number of images in one ingest.
    """

    one_core: Blocks
    all_cores: Blocks
    ingest: Blocks
    cores: int
    images: int

    @property
    def ingest_to_cores(self) -> Blocks:
        """The ingest's rate relative to decoding alone on all cores."""
        return self.ingest.over(self.one_core.times(self.cores))


Contents = Sequence[tuple[str, bytes]]
"""File contents, each with its name."""


def measure_decoding(
    chosen: Sequence[ImageFile],
    files: Mapping[str, ImageFile],
    folder: Path,
    *,
    size_px: int,
    resize: str,
    block_seconds: float,
    rounds: Rounds,
) -> Decoding:
    """Alternate decoding and ingest of some images; each ingest creates a new cache in ``folder``.

    Raises:
        DataError: none of them can be decoded, or the ingest fails.
    """
    cores = usable_cores()
    rate = decoded_a_second(contents_of(chosen[:_FIRST_IMAGES]), size_px, resize)
    fitting = round(rate * block_seconds)
    contents = contents_of(chosen[: max(_FIRST_IMAGES, fitting)])
    together = [file.name for file in chosen[: max(_FIRST_IMAGES, fitting * cores)]]
    on_each = list(itertools.chain.from_iterable([contents] * cores))
    one_core, all_cores, ingest = [], [], []
    for turn in range(ROUNDS):
        rounds.begin()
        one_core.append(decoded_a_second(contents, size_px, resize))
        all_cores.append(decoded_a_second(on_each, size_px, resize, threads=cores))
        place = folder / f"ingest-{turn}"
        ingest.append(_ingested_a_second(place, files, together, size_px, resize))
    return Decoding(
        Blocks(tuple(one_core)),
        Blocks(tuple(all_cores)),
        Blocks(tuple(ingest)),
        cores,
        len(together),
    )


def contents_of(chosen: Sequence[ImageFile]) -> Contents:
    """The files' bytes, without unreadable files."""
    found = []
    for file in chosen:
        if file.member is None:
            # The ingest quarantines unreadable files; the others are enough for the rate.
            with contextlib.suppress(OSError), open_regular(file.path) as stream:
                found.append((file.name, stream.read(MAX_ENCODED_BYTES)))
    for archive in {file.path for file in chosen if file.member is not None}:
        names = {file.member: file.name for file in chosen if file.path == archive and file.member}
        for member, content in stream_archive(archive, names.keys()):
            if isinstance(content, bytes):
                found.append((names[member], content))
    return found


def decoded_a_second(contents: Contents, size_px: int, resize: str, *, threads: int = 1) -> float:
    """Images per second with this many threads.

    Raises:
        DataError: none of them can be decoded.
    """

    def decode(named: tuple[str, bytes]) -> str | None:
        try:
            decode_square(named[1], named[0], size_px, resize)
        except UndecodableImage as error:
            return str(error)
        return None

    started = time.perf_counter()
    if threads == 1:
        failures = [decode(named) for named in contents]
    else:
        with ThreadPoolExecutor(threads) as pool:
            failures = list(pool.map(decode, contents))
    seconds = time.perf_counter() - started
    done = failures.count(None)
    if done == 0:
        why = next(iter(failures), None)
        raise DataError("none of the sampled images can be decoded", where=why)
    return done / seconds


def _ingested_a_second(
    place: Path, files: Mapping[str, ImageFile], wanted: Sequence[str], size_px: int, resize: str
) -> float:
    last: list[IngestProgress] = []
    open_cache(
        place,
        files,
        wanted,
        size_px=size_px,
        resize=resize,
        max_quarantined_share=_QUARANTINED_SHARE,
        progress=lambda now: last.__setitem__(slice(None), [now]),
    )
    shutil.rmtree(place)
    return last[0].images_per_second
