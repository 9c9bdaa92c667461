"""Encoded images -> outcomes, by threads.

Pillow decodes with Python's lock released, so threads are enough, and a process pool would
fail under a running console. Archives are streamed from front to back, each at most once.
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
    UndecodableImage,
    decode_square,
    too_large_reason,
)
from core.data.images.image_files import ImageFile
from core.in_slices import LooseThreads, waited
from core.regular_file import open_regular

_IN_FLIGHT_PER_THREAD = 4
_BYTES_IN_FLIGHT = 512 * 2**20
"""Of encoded images: a hostile archive's could be 256 MiB each."""

_GONE = "not in its archive any more"


class Job(NamedTuple):
    """One image to look at; ``content`` where it came out of an archive."""

    row: int
    file: ImageFile
    content: bytes | None
    refusal: str | None

    @property
    def num_bytes(self) -> int:
        """What its content takes in memory, at most."""
        return 0 if self.refusal is not None else min(self.file.num_bytes, MAX_ENCODED_BYTES)


class KnownBytes:
    """Files by the digest of their bytes, whose images have been decoded before."""

    def __init__(self, log: Rows, neighbours: Sequence[Neighbour] = ()) -> None:
        self._record_by_digest = by_digest(log)
        self._neighbours = neighbours

    def outcome(self, row: int, digest: NDArray[np.uint8], signature: int) -> Outcome | None:
        """That of a row whose file has these bytes; None where they were never decoded."""
        key = digest.tobytes()
        record = self._record_by_digest.get(key)
        if record is not None:
            ours = record.copy()  # touched, moved or copied, not changed
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
    """Loose files in the order of their names, then each archive in its own order."""

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
    """The jobs' outcomes in their order, a bounded number of images and bytes in flight.

    ``at_each`` is called several times a second while one is waited for; it may raise.
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
                future = pool.submit(_decode, job, place.size_px, place.resize, known)
                in_flight.append((future, job.num_bytes))
                del job  # what a thread is done with is nobody's any more
            while in_flight:
                yield waited(in_flight.popleft()[0], at_each)
        finally:
            for future, _ in in_flight:
                future.cancel()


def _decode(job: Job, size_px: int, resize: str, known: KnownBytes) -> Outcome:
    try:
        content, num_bytes, signature = _content(job)
    except OSError as error:
        # Rights and connections come back without the file changing: no record of this.
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
        image = decode_square(content, job.file.name, size_px, resize)
    except UndecodableImage as error:
        record["state"] = QUARANTINED
        return Outcome(job.row, record, None, error.reason)
    record["state"], record["mode"] = DONE, image.mode.encode()
    record["repairs"] = int(image.repairs)
    record["width_px"], record["height_px"] = image.width_px, image.height_px
    return Outcome(job.row, record, image.pixels_SS, None)


def _content(job: Job) -> tuple[bytes | None, int, int]:
    """The encoded image, its size and its file's signature; no bytes where it is refused unread."""
    file = job.file
    if job.refusal is not None or job.content is not None:
        return job.content, file.num_bytes, file.signature
    with open_regular(file.path) as stream:
        status = os.fstat(stream.fileno())
        signature = file_signature(status)
        if status.st_size > MAX_ENCODED_BYTES:
            return None, status.st_size, signature
        # Not up to the limit: for that Python asks the system for so much new memory, each time.
        content = stream.read(status.st_size)
        if file_signature(os.fstat(stream.fileno())) != signature:
            signature = UNKNOWN  # somebody writes to it now
        return content, status.st_size, signature
