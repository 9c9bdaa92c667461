"""Decode images on threads.

Pillow releases the GIL while decoding, so threads are enough; a process pool would fail under a
running console. Archives are streamed from front to back, each at most once.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_reuse import Neighbour
from core.data.cache.cache_rows import (
    DONE,
    QUARANTINED,
    ROW,
    CachePlace,
    Rows,
    by_digest,
    content_digest,
)
from core.data.cache.file_signature import UNKNOWN, file_signature
from core.data.cache.row_writer import Outcome
from core.data.images.archives import stream_archive
from core.data.images.decode import (
    MAX_ENCODED_BYTES,
    decode_square,
    too_large_reason,
)
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.in_slices import LooseThreads, waited
from core.regular_file import open_regular

_IN_FLIGHT_PER_THREAD = 4
_BYTES_IN_FLIGHT = 512 * 2**20
"""Bytes of encoded images in memory: those of a hostile archive could be 256 MiB each."""

_GONE = "no longer in its archive"


class Job(NamedTuple):
    """One image to decode; ``content`` if it came from an archive."""

    row: int
    file: ImageFile
    content: bytes | None
    refusal: str | None

    @property
    def num_bytes(self) -> int:
        """The size of its content in memory, at most."""
        return 0 if self.refusal is not None else min(self.file.num_bytes, MAX_ENCODED_BYTES)


class KnownBytes:
    """Images decoded before, by the digest of their files."""

    def __init__(self, log: Rows, neighbours: Sequence[Neighbour] = ()) -> None:
        self._record_by_digest = by_digest(log)
        self._neighbours = neighbours

    def outcome(self, row: int, digest: NDArray[np.uint8], signature: int) -> Outcome | None:
        """The outcome for a row whose file has these bytes; None if never decoded."""
        key = digest.tobytes()
        record = self._record_by_digest.get(key)
        if record is not None:
            ours = record.copy()  # touched, moved or copied, but not changed
            ours["signature"] = signature
            return Outcome(row, ours, None, None)
        for neighbour in self._neighbours:
            record = neighbour.record_by_digest.get(key)
            if record is not None:
                outcome = neighbour.outcome(row, record, signature)
                if outcome is not None:
                    return outcome
        return None


def jobs_for(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    missing_rows: NDArray[np.int64],
    at_each: Callable[[], None] | None = None,
) -> Iterator[Job]:
    """Loose files sorted by name, then each archive in its own order."""

    def job(row: int, content: bytes | None = None, refusal: str | None = None) -> Job:
        return Job(row, files[place.names[row]], content, refusal)

    archived: dict[Path, dict[str, int]] = defaultdict(dict)
    for row in missing_rows.tolist():
        file = files[place.names[row]]
        if file.member is None:
            yield job(row)
        else:
            archived[file.path][file.member] = row
    for archive, row_by_member in sorted(archived.items()):
        for member, content in stream_archive(archive, row_by_member.keys(), at_each):
            row = row_by_member.pop(member)
            if isinstance(content, int):
                yield job(row, refusal=too_large_reason(content))
            else:
                yield job(row, content)
        for row in row_by_member.values():
            yield job(row, refusal=_GONE)


def decoded(
    jobs: Iterable[Job],
    place: CachePlace,
    threads: int,
    known: KnownBytes,
    at_each: Callable[[], None] = lambda: None,
) -> Generator[Outcome, None, None]:
    """The jobs' outcomes in order, with a limited number of images and bytes in flight.

    ``at_each`` is called several times a second while waiting; it may raise.
    """
    in_flight: deque[tuple[Future[Outcome], int]] = deque()
    num_bytes = 0
    with LooseThreads(threads, "decode") as pool:
        try:
            for job in jobs:
                num_bytes += job.num_bytes
                while in_flight and (
                    num_bytes > _BYTES_IN_FLIGHT
                    or len(in_flight) >= threads * _IN_FLIGHT_PER_THREAD
                ):
                    future, freed = in_flight.popleft()
                    yield waited(future, at_each)
                    num_bytes -= freed
                future = pool.submit(_decode, job, place, known)
                in_flight.append((future, job.num_bytes))
                del job  # free the content once a thread is done with it
            while in_flight:
                yield waited(in_flight.popleft()[0], at_each)
        finally:
            for future, _ in in_flight:
                future.cancel()


def _decode(job: Job, place: CachePlace, known: KnownBytes) -> Outcome:
    try:
        content, num_bytes, signature = _content(job)
    except OSError as error:
        # Permissions and connections may return without a change of the file: record nothing.
        return Outcome(job.row, None, None, f"can't be read: {error.strerror or error}")
    record = np.zeros((), ROW)
    record["signature"] = signature
    if content is None:
        if job.refusal == _GONE:
            return Outcome(job.row, None, None, _GONE)
        record["state"] = QUARANTINED
        return Outcome(job.row, record, None, job.refusal or too_large_reason(num_bytes))
    digest = content_digest(content)
    as_before = known.outcome(job.row, digest, signature)
    if as_before is not None:
        return as_before
    record["digest"] = digest
    try:
        image = decode_square(content, job.file.name, place.size_px, place.resize, place.rule)
    except UndecodableImage as error:
        if error.for_now:  # a package may be installed before the next run: record nothing
            return Outcome(job.row, None, None, error.reason)
        record["state"] = QUARANTINED
        return Outcome(job.row, record, None, error.reason)
    record["state"], record["mode"] = DONE, image.mode.encode()
    record["repairs"] = int(image.repairs)
    record["width_px"], record["height_px"] = image.width_px, image.height_px
    return Outcome(job.row, record, image.pixels_SS, None)


def _content(job: Job) -> tuple[bytes | None, int, int]:
    """The encoded image, its size and its file's signature; no bytes if it is refused unread."""
    file = job.file
    if job.refusal is not None or job.content is not None:
        return job.content, file.num_bytes, file.signature
    with open_regular(file.path) as stream:
        status = os.fstat(stream.fileno())
        signature = file_signature(status)
        if status.st_size > MAX_ENCODED_BYTES:
            return None, status.st_size, signature
        # Not up to the limit: Python would allocate that much memory each time.
        content = stream.read(status.st_size)
        if file_signature(os.fstat(stream.fileno())) != signature:
            signature = UNKNOWN  # it is being written
        return content, status.st_size, signature
