"""Files -> rows of a cache: once, resumable, by threads.

Pillow decodes with Python's lock released, so threads are enough, and a process pool would
fail under a running console. Archives are streamed from front to back, each at most once.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.archives import stream_archive
from core.data.cache_lock import opened_lock
from core.data.cache_reuse import reusable_rows
from core.data.cache_rows import (
    ABSENT,
    DONE,
    QUARANTINED,
    ROW,
    CachePlace,
    Rows,
    content_digest,
    create_rows,
    read_rows,
    settled_rows,
)
from core.data.decode import MAX_ENCODED_BYTES, UndecodableImage, decode_square, too_large_reason
from core.data.image_files import ImageFile
from core.data.quarantine import read_quarantine
from core.data.row_writer import Outcome, RowWriter, named_disk_errors, require_free_space
from core.errors import StoppedError
from core.regular_file import open_regular

_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_BETWEEN_TRIES = 0.2
_IN_FLIGHT_PER_THREAD = 4
_MOST_THREADS = 64
_GONE = "not in its archive any more"


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingest is; ``waiting_for`` names the process that is doing it instead of us.

    ``done`` counts the wanted images that need nothing more, quarantined ones included;
    ``images_per_second`` and ``seconds_left`` are about this run's own work.
    """

    done: int
    total: int
    images_per_second: float
    seconds_left: float | None
    quarantined: int
    waiting_for: str | None = None


class Settled(NamedTuple):
    """What is known: records that hold for the files as they are, and reasons by name."""

    rows: Rows
    reasons: Mapping[str, str]


class _Job(NamedTuple):
    """One image to look at; ``content`` where it came out of an archive."""

    row: int
    file: ImageFile
    content: bytes | None
    refusal: str | None
    before: Rows


@dataclass
class _Report:
    """Tells the caller how far it is, and asks whether to stop."""

    total: int
    progress: Callable[[IngestProgress], None] | None
    should_stop: Callable[[], bool] | None
    done_before: int = 0
    done: int = 0
    quarantined: int = 0
    started: float = field(default_factory=time.monotonic)
    told: float = 0.0

    def tell(self, *, waiting_for: str | None = None, now: bool = False) -> None:
        clock = time.monotonic()
        if self.progress is None or not (now or clock - self.told > _SECONDS_BETWEEN_REPORTS):
            return
        self.told = clock
        rate = (
            0.0 if waiting_for else (self.done - self.done_before) / max(clock - self.started, 1e-6)
        )
        left = (self.total - self.done) / rate if rate > 0 else None
        self.progress(
            IngestProgress(self.done, self.total, rate, left, self.quarantined, waiting_for)
        )

    def stop_if_asked(self) -> None:
        if self.should_stop is not None and self.should_stop():
            raise StoppedError(
                f"stopped while images were prepared: {self.done:,} of {self.total:,} are ready",
                remedy="Run it again to go on from there",
            )

    def start_clock(self) -> None:
        """From here on the rate is measured."""
        self.done_before, self.started = self.done, time.monotonic()

    def count(self, settled: Settled, wanted_rows_W: NDArray[np.int64]) -> None:
        states_W = settled.rows["state"][wanted_rows_W]
        self.done = int(np.count_nonzero(states_W != ABSENT))
        self.start_clock()
        self.quarantined = int(np.count_nonzero(states_W == QUARANTINED))


def settled_on_disk(place: CachePlace, files: Mapping[str, ImageFile]) -> Settled:
    """What the cache holds of these files; everything absent where there is no cache yet."""
    rows = read_rows(place)
    if rows is None:
        return Settled(np.zeros(len(place.names), ROW), {})
    reasons = read_quarantine(place.quarantine_file)
    return Settled(settled_rows(place, files, rows, reasons), reasons)


def ingest(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    wanted_rows_W: NDArray[np.int64],
    *,
    progress: Callable[[IngestProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    threads: int | None = None,
) -> Settled:
    """Fill the wanted rows that don't hold; wait while another process does it.

    Raises:
        DataError, StoppedError: as :func:`core.data.cache.open_cache`.
    """
    report = _Report(len(wanted_rows_W), progress, should_stop)
    with named_disk_errors(place, len(wanted_rows_W)):
        place.folder.mkdir(parents=True, exist_ok=True)
        with opened_lock(place.lock_file) as lock:
            while not lock.try_take():
                report.stop_if_asked()
                report.count(settled_on_disk(place, files), wanted_rows_W)
                report.tell(waiting_for=lock.holder())
                time.sleep(_SECONDS_BETWEEN_TRIES)
            return _fill(place, files, wanted_rows_W, report, threads or usable_cores())


def _fill(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    wanted_rows_W: NDArray[np.int64],
    report: _Report,
    threads: int,
) -> Settled:
    """The ingest proper, by the one process that holds the lock."""
    on_disk = read_rows(place)
    if on_disk is None:
        require_free_space(place, len(wanted_rows_W))
        on_disk = create_rows(place)
    reasons = read_quarantine(place.quarantine_file)
    settled = Settled(settled_rows(place, files, on_disk, reasons), reasons)
    report.count(settled, wanted_rows_W)
    report.tell(now=True)
    missing_rows = wanted_rows_W[settled.rows["state"][wanted_rows_W] == ABSENT]
    require_free_space(place, int(np.count_nonzero(on_disk["state"][missing_rows] == ABSENT)))
    rows = settled.rows
    with RowWriter(place, on_disk, reasons) as writer:

        def take(outcomes: Iterable[Outcome]) -> None:
            for outcome in outcomes:
                writer.put(outcome)
                # What was read is what holds, even if the file changed since it was found.
                rows[outcome.row] = np.zeros((), ROW) if outcome.record is None else outcome.record
                report.done += 1
                report.quarantined += outcome.reason is not None
                report.tell()
                report.stop_if_asked()

        take(reusable_rows(place, files, missing_rows))
        missing_rows = missing_rows[rows["state"][missing_rows] == ABSENT]
        report.start_clock()
        jobs = _jobs(place, files, missing_rows, on_disk.copy(), report.stop_if_asked)
        with closing(_decoded(jobs, place, threads)) as outcomes:
            take(outcomes)
    report.tell(now=True)
    return Settled(rows, reasons)


def _jobs(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    missing_rows: NDArray[np.int64],
    on_disk: Rows,
    at_each: Callable[[], None],
) -> Iterator[_Job]:
    """Loose files in the order of their names, then each archive in its own order."""

    def job(row: int, content: bytes | None = None, refusal: str | None = None) -> _Job:
        return _Job(row, files[place.names[row]], content, refusal, on_disk[row])

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


def _decoded(
    jobs: Iterable[_Job], place: CachePlace, threads: int
) -> Generator[Outcome, None, None]:
    """The jobs' outcomes in their order, a bounded number of images in flight."""
    in_flight: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for job in jobs:
                if len(in_flight) >= threads * _IN_FLIGHT_PER_THREAD:
                    yield in_flight.popleft().result()
                in_flight.append(pool.submit(_decode, job, place.size_px, place.resize))
            while in_flight:
                yield in_flight.popleft().result()
        finally:
            for future in in_flight:
                future.cancel()


def _decode(job: _Job, size_px: int, resize: str) -> Outcome:
    try:
        content, num_bytes, mtime_ns = _content(job)
    except OSError as error:
        # Rights and connections come back without the file changing: no record of this.
        return Outcome(job.row, None, None, f"can't be read: {error.strerror or error}")
    record = np.zeros((), ROW)
    record["num_bytes"], record["mtime_ns"] = num_bytes, mtime_ns
    if content is None:
        if job.refusal == _GONE:
            return Outcome(job.row, None, None, _GONE)
        record["state"] = QUARANTINED
        return Outcome(job.row, record, None, job.refusal or too_large_reason(num_bytes))
    record["digest"] = content_digest(content)
    if job.before["state"] == DONE and np.array_equal(job.before["digest"], record["digest"]):
        for name in ("state", "mode", "width_px", "height_px"):
            record[name] = job.before[name]  # touched, not changed
        return Outcome(job.row, record, None, None)
    try:
        image = decode_square(content, job.file.name, size_px, resize)
    except UndecodableImage as error:
        record["state"] = QUARANTINED
        return Outcome(job.row, record, None, error.reason)
    record["state"], record["mode"] = DONE, image.mode.encode()
    record["width_px"], record["height_px"] = image.width_px, image.height_px
    return Outcome(job.row, record, image.pixels_SS, None)


def _content(job: _Job) -> tuple[bytes | None, int, int]:
    """The encoded image with its size and time of change; no bytes where it is refused unread."""
    file = job.file
    if job.refusal is not None or job.content is not None:
        return job.content, file.num_bytes, file.mtime_ns
    with open_regular(file.path) as stream:
        status = os.fstat(stream.fileno())
        if status.st_size > MAX_ENCODED_BYTES:
            return None, status.st_size, status.st_mtime_ns
        # Not up to the limit: for that Python asks the system for so much new memory, each time.
        return stream.read(status.st_size), status.st_size, status.st_mtime_ns


def usable_cores() -> int:
    """Cores that this run may use, which a scheduler often limits."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)
