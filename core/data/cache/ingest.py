"""Ingest: decode files into rows of a cache, once and resumable, in the process with the lock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_lock import opened_lock
from core.data.cache.cache_reuse import neighbours_of, reusable_rows
from core.data.cache.cache_rows import (
    ABSENT,
    FILES,
    QUARANTINED,
    ROW,
    CachePlace,
    Rows,
    create_log,
    has_room,
    is_of_an_earlier_format,
    read_log,
    settled_rows,
    shortened,
)
from core.data.cache.quarantine import read_quarantine
from core.data.cache.row_writer import Outcome, RowWriter, named_disk_errors, require_free_space
from core.data.images.decode_jobs import KnownBytes, decoded, jobs_for
from core.data.images.image_file import ImageFile
from core.errors import StoppedError
from core.store.own_folder import drop_unfinished, opened_own, require_own

_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_BETWEEN_TRIES = 0.2
_MOST_THREADS = 64
_EARLIER_FORMAT = (
    "the cache was made by an earlier version, which identified images by size and time alone; "
    "they have been decoded again"
)


@dataclass(frozen=True)
class IngestProgress:
    """Progress of an ingest; ``waiting_for`` names the process that does it instead of us.

    ``done`` counts the finished wanted images, including quarantined ones; ``images_per_second``
    and ``seconds_left`` refer to this run's own work.
    """

    done: int
    total: int
    images_per_second: float
    seconds_left: float | None
    quarantined: int
    waiting_for: str | None = None


class Settled(NamedTuple):
    """The valid records for the current files, and reasons by name.

    ``notices`` are messages about how the cache was made.
    """

    rows: Rows
    reasons: Mapping[str, str]
    notices: tuple[str, ...] = ()


@dataclass
class _Report:
    """Reports progress to the caller, and checks whether to stop."""

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
                f"stopped while preparing images: {self.done:,} of {self.total:,} are ready",
                remedy="Run it again to continue from there",
            )

    def start_clock(self) -> None:
        """Start measuring the rate."""
        self.done_before, self.started = self.done, time.monotonic()

    def count(self, settled: Settled, wanted_rows_W: NDArray[np.int64]) -> None:
        states_W = settled.rows["state"][wanted_rows_W]
        self.done = int(np.count_nonzero(states_W != ABSENT))
        self.start_clock()
        self.quarantined = int(np.count_nonzero(states_W == QUARANTINED))


def settled_on_disk(place: CachePlace, files: Mapping[str, ImageFile]) -> Settled:
    """The cache's content for these files; everything is absent if there is no cache yet.

    Raises:
        DataError: the folder isn't ours, see ``core.store.own_folder``.
    """
    with suppress(OSError):  # the ingest will report the error
        require_own(place.folder)
    log = read_log(place)
    if log is None:
        return Settled(np.zeros(len(place.names), ROW), {})
    reasons = read_quarantine(place.quarantine_file)
    return Settled(settled_rows(place, files, log, reasons), reasons)


def ingest(
    place: CachePlace,
    files: Mapping[str, ImageFile],
    wanted_rows_W: NDArray[np.int64],
    *,
    progress: Callable[[IngestProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    threads: int | None = None,
) -> Settled:
    """Fill the wanted rows that aren't valid; wait while another process does it.

    Raises:
        DataError, StoppedError: as :func:`core.data.cache.cache.open_cache`.
    """
    report = _Report(len(wanted_rows_W), progress, should_stop)
    with named_disk_errors(place, len(wanted_rows_W)):
        place.folder.mkdir(parents=True, exist_ok=True)
        with opened_own(place.folder) as folder, opened_lock(folder, place.lock_file.name) as lock:
            while not lock.try_take():
                report.stop_if_asked()
                report.count(settled_on_disk(place, files), wanted_rows_W)
                report.tell(waiting_for=lock.holder())
                time.sleep(_SECONDS_BETWEEN_TRIES)
            if lock.is_kept_by_the_kernel:
                drop_unfinished(folder, FILES)
            return _fill(folder, place, files, wanted_rows_W, report, threads or usable_cores())


def _fill(
    folder: int,
    place: CachePlace,
    files: Mapping[str, ImageFile],
    wanted_rows_W: NDArray[np.int64],
    report: _Report,
    threads: int,
) -> Settled:
    """The actual ingest, in the process that holds the lock."""
    log = read_log(place)
    notices: tuple[str, ...] = ()
    if log is None or not has_room(place, log):
        if is_of_an_earlier_format(place):
            notices = (_EARLIER_FORMAT,)
        require_free_space(place, len(wanted_rows_W))
        log = create_log(place)
    log = shortened(place, log)
    reasons = read_quarantine(place.quarantine_file)
    settled = Settled(settled_rows(place, files, log, reasons), reasons, notices)
    report.count(settled, wanted_rows_W)
    report.tell(now=True)
    missing_rows = wanted_rows_W[settled.rows["state"][wanted_rows_W] == ABSENT]
    require_free_space(place, np.setdiff1d(missing_rows, log["row"][log["state"] != ABSENT]).size)
    rows = settled.rows
    with RowWriter(folder, place, log, reasons) as writer:

        def take(outcomes: Iterable[Outcome]) -> None:
            for outcome in outcomes:
                record = writer.put(outcome)
                # What was read counts, even if the file has changed since it was found.
                rows[outcome.row] = np.zeros((), ROW) if record is None else record
                report.done += 1
                report.quarantined += outcome.reason is not None
                report.tell()
                report.stop_if_asked()

        neighbours = neighbours_of(place) if len(missing_rows) else []
        take(reusable_rows(place, files, missing_rows, neighbours))
        missing_rows = missing_rows[rows["state"][missing_rows] == ABSENT]
        report.start_clock()
        jobs = jobs_for(place, files, missing_rows, report.stop_if_asked)
        known = KnownBytes(log, neighbours)
        with closing(decoded(jobs, place, threads, known, report.stop_if_asked)) as outcomes:
            take(outcomes)
    report.tell(now=True)
    return Settled(rows, reasons, notices)


def usable_cores() -> int:
    """Number of cores that this run may use, which a scheduler often limits."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)
