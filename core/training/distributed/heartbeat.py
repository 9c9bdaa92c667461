"""A heartbeat of every rank, visible to all: which one is gone, which was asked to stop.

A thread writes ours into the store through which the ranks found each other, twice a second, and
reads the others'. So a rank is also missed if its host vanished without closing a connection, and
rank 0 learns of a signal to another rank while both compute.

Others may write into that store too, and it may stop answering. Only that thread waits for it; a
status counts if it has the run's seal and follows the previous one; anything else is ignored, and
after a while the rank whose place it takes is reported as missing.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch.distributed import DistNetworkError

from core.training.distributed.seals import SEAL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

BEAT_SECONDS = 0.5
SILENT_SECONDS = 25.0
"""A rank without a heartbeat for this long is gone."""

_LONGEST_LOOK_AWAY_SECONDS = 5.0
"""A longer gap between two of our own checks is a suspension, and counts as this much."""

_ANSWER_SECONDS = 2.0
"""How long the caller waits for the thread to write and read; then it continues anyway."""

_MOST_BYTES, _MOST_LETTERS = 16384, 2000
_ODD = (RuntimeError, MemoryError, ValueError)
"""What a store raises for a value that vanished, or is too large."""


@dataclass(frozen=True)
class RankStatus:
    """What a rank tells the others."""

    host: str
    pid: int
    beat: int = 0
    stage: str = ""
    asked_to_stop: bool = False
    leaves_early: bool = False
    trouble: str = ""
    """Why it failed, if it did."""
    code: int | None = None
    """The exit code that it leaves with, once it does."""

    @property
    def is_a_process_here_that_is_gone(self) -> bool:
        """Known at once for a process on this host; a zombie is gone too."""
        if self.host != socket.gethostname() or not Path("/proc/self").exists():
            return False
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] in "ZX"

    def sealed(self, key: bytes, rank: int) -> str:
        """As written into the store."""
        text = json.dumps(asdict(self))
        return seal(key, f"status {rank}", text.encode("ascii")).hex() + text


def status_of(value: bytes, key: bytes, rank: int) -> RankStatus | None:
    """The status that a rank wrote into the store; None if somebody else did."""
    if len(value) > _MOST_BYTES:
        return None
    found, text = value[: 2 * SEAL_BYTES], value[2 * SEAL_BYTES :]
    try:
        is_ours = is_sealed(bytes.fromhex(found.decode("ascii")), key, f"status {rank}", text)
        return RankStatus(**json.loads(text)) if is_ours else None
    except (ValueError, TypeError):
        return None


class AwakeClock:
    """Seconds that passed while this process was running, without suspensions of it or the job.

    After a long suspension everybody's last heartbeat is long ago, though nobody is gone.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last, self._seen = monotonic(), 0.0

    def __call__(self) -> float:
        """Seconds since it was created."""
        with self._lock:
            now = self._monotonic()
            self._seen += min(now - self._last, _LONGEST_LOOK_AWAY_SECONDS)
            self._last = now
            return self._seen


class RankHeartbeat:
    """Ours beats until ``stop()``; ``statuses`` are the latest of all ranks."""

    def __init__(self, store: Store, rank: int, size: int, key: bytes = b"") -> None:
        self._store = store
        self._rank = rank
        self._key = key
        self._places = [f"heartbeat/{number}" for number in range(size)]
        self._ours = RankStatus(socket.gethostname(), os.getpid())
        self._rounds = threading.Condition()
        self._asked, self._done = 0, 0
        self._has_ended = False
        self._clock = AwakeClock()
        self._answered = self._clock()
        self._changed = dict.fromkeys(range(size), (-1, self._answered))
        self.statuses: dict[int, RankStatus] = {}
        self.usurped: set[int] = set()
        """Ranks whose place in the store was written by somebody else."""
        self.store_is_gone = False
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        self._thread.start()
        self.look()

    def show(self, **changes: str | bool | int) -> None:
        """Tell the others immediately."""
        changes = {
            name: value[:_MOST_LETTERS] if isinstance(value, str) else value
            for name, value in changes.items()
        }
        with self._rounds:
            self._ours = replace(self._ours, **changes)  # type: ignore[arg-type]
        self.look()

    def look(self) -> None:
        """Read the statuses of all ranks now, unless the store is slow to answer."""
        with self._rounds:
            self._asked += 1
            wanted = self._asked
            self._rounds.notify_all()
            self._rounds.wait_for(
                lambda: self._done >= wanted or not self._thread.is_alive(), _ANSWER_SECONDS
            )

    @property
    def failing(self) -> str:
        """Why the statuses are out of date; '' if they are not."""
        if self.store_is_gone:
            return "the place where the processes of this run meet is gone (torchrun)"
        if not self._thread.is_alive() and not self._has_ended:
            return "what watches the other processes of this run has failed"
        if self._clock() - self._answered > SILENT_SECONDS:
            return "the place where the processes of this run meet no longer answers"
        return ""

    def silent_ranks(self, seconds: float = SILENT_SECONDS) -> list[int]:
        """Other ranks without a heartbeat for this long that have not said that they leave."""
        now = self._clock()
        changed = dict(self._changed)
        return [
            rank
            for rank, (_, when) in sorted(changed.items())
            if rank != self._rank and now - when > seconds and not self._has_left(rank)
        ]

    def _has_left(self, rank: int) -> bool:
        return rank in self.statuses and self.statuses[rank].code is not None

    def stop(self) -> None:
        """Stop beating."""
        with self._rounds:
            self._has_ended = True
            self._rounds.notify_all()
        self._thread.join(2 * BEAT_SECONDS)

    def _go_on(self) -> None:
        """The loop of the thread, which alone waits for the store."""
        while True:
            with self._rounds:
                self._rounds.wait_for(
                    lambda: self._asked > self._done or self._has_ended, BEAT_SECONDS
                )
                if self._has_ended:
                    return
                asked = self._asked
                ours = self._ours = replace(self._ours, beat=self._ours.beat + 1)
            self._round(ours)
            with self._rounds:
                self._done = asked
                self._rounds.notify_all()

    def _round(self, ours: RankStatus) -> None:
        try:
            self._store.set(self._places[self._rank], ours.sealed(self._key, self._rank))
            there = [
                rank
                for rank, place in enumerate(self._places)
                if rank in self.statuses or self._store.check([place])
            ]
            found = self._values(there)
        except DistNetworkError:
            self.store_is_gone = True
            return
        except _ODD:
            return  # the clock shows if this lasts
        now = self._clock()
        self._answered = now
        for rank, value in found.items():
            self._take(rank, status_of(value, self._key, rank), now)

    def _values(self, ranks: list[int]) -> dict[int, bytes]:
        """The stored values of these ranks, without those that can't be read."""
        try:
            values = self._store.multi_get([self._places[rank] for rank in ranks])
        except DistNetworkError:
            raise
        except _ODD:
            return {rank: value for rank in ranks if (value := self._value(rank)) is not None}
        return dict(zip(ranks, values, strict=True))

    def _value(self, rank: int) -> bytes | None:
        try:
            value: bytes = self._store.get(self._places[rank])
        except DistNetworkError:
            raise
        except _ODD:
            self.usurped.add(rank)
            return None
        return value

    def _take(self, rank: int, status: RankStatus | None, now: float) -> None:
        beat, _ = self._changed[rank]
        if status is None or status.beat < beat:
            self.usurped.add(rank)  # somebody else's, or an old one replayed
            return
        self.usurped.discard(rank)
        if status.beat != beat:
            self._changed[rank] = (status.beat, now)
        self.statuses[rank] = status
