"""A sign of life of every rank, where all can see it: who is gone, who was asked to stop.

A thread writes ours into the store that the ranks found each other by, twice a second, and reads
those of all. So a rank is missed also where its host vanished and no connection was closed, and a
signal that came to one rank is known to rank 0 while both compute.

Others may write into that store as well, and it may cease to answer. Only that thread waits for it;
a status counts where it bears the run's seal and goes on from the one before; what else stands
there is passed over, and after a while the rank whose place it takes is missed, by name.
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
"""A rank without a beat for so long is gone."""

_LONGEST_LOOK_AWAY_SECONDS = 5.0
"""A longer gap between two looks of our own is a suspension, and counts as so much."""

_ANSWER_SECONDS = 2.0
"""For so long the caller waits until the thread has written and read; it goes on anyway."""

_MOST_BYTES, _MOST_LETTERS = 16384, 2000
_ODD = (RuntimeError, MemoryError, ValueError)
"""What a store raises for a value that vanished, or is more than can be taken."""


@dataclass(frozen=True)
class RankStatus:
    """What a rank lets the others know."""

    host: str
    pid: int
    beat: int = 0
    stage: str = ""
    asked_to_stop: bool = False
    leaves_early: bool = False
    trouble: str = ""
    """Why it failed, once it has."""
    code: int | None = None
    """The exit code that it leaves with, once it does."""

    @property
    def is_a_process_here_that_is_gone(self) -> bool:
        """Seen at once where it ran on this host; a zombie has gone too."""
        if self.host != socket.gethostname() or not Path("/proc/self").exists():
            return False
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] in "ZX"

    def sealed(self, key: bytes, rank: int) -> str:
        """As it stands in the store."""
        text = json.dumps(asdict(self))
        return seal(key, f"status {rank}", text.encode("ascii")).hex() + text


def status_of(value: bytes, key: bytes, rank: int) -> RankStatus | None:
    """The sign that a rank put into the store; None where somebody else did."""
    if len(value) > _MOST_BYTES:
        return None
    found, text = value[: 2 * SEAL_BYTES], value[2 * SEAL_BYTES :]
    try:
        is_ours = is_sealed(bytes.fromhex(found.decode("ascii")), key, f"status {rank}", text)
        return RankStatus(**json.loads(text)) if is_ours else None
    except (ValueError, TypeError):
        return None


class AwakeClock:
    """Seconds that this process saw pass; not those for which it, or the whole job, was suspended.

    After a long suspension everybody's last beat is long ago, and nobody is gone.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last, self._seen = monotonic(), 0.0

    def __call__(self) -> float:
        """Seconds since its making."""
        with self._lock:
            now = self._monotonic()
            self._seen += min(now - self._last, _LONGEST_LOOK_AWAY_SECONDS)
            self._last = now
            return self._seen


class RankHeartbeat:
    """Ours beats until ``stop()``; ``statuses`` are those of all ranks, as last seen."""

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
        """Ranks in whose place something stands that they did not write."""
        self.store_is_gone = False
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        self._thread.start()
        self.look()

    def show(self, **changes: str | bool | int) -> None:
        """Let the others know, at once."""
        changes = {
            name: value[:_MOST_LETTERS] if isinstance(value, str) else value
            for name, value in changes.items()
        }
        with self._rounds:
            self._ours = replace(self._ours, **changes)  # type: ignore[arg-type]
        self.look()

    def look(self) -> None:
        """See the signs of all ranks as they are now, unless the store is slow to answer."""
        with self._rounds:
            self._asked += 1
            wanted = self._asked
            self._rounds.notify_all()
            self._rounds.wait_for(
                lambda: self._done >= wanted or not self._thread.is_alive(), _ANSWER_SECONDS
            )

    @property
    def failing(self) -> str:
        """Why the statuses that we have are not those of now; '' where they are."""
        if self.store_is_gone:
            return "the place where the processes of this run meet is gone (torchrun)"
        if not self._thread.is_alive() and not self._has_ended:
            return "what watches the other processes of this run has failed"
        if self._clock() - self._answered > SILENT_SECONDS:
            return "the place where the processes of this run meet does not answer any more"
        return ""

    def silent_ranks(self, seconds: float = SILENT_SECONDS) -> list[int]:
        """Other ranks without a beat for so long that have not said that they leave."""
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
        """Beat no more."""
        with self._rounds:
            self._has_ended = True
            self._rounds.notify_all()
        self._thread.join(2 * BEAT_SECONDS)

    def _go_on(self) -> None:
        """The thread's: the only one that waits for the store."""
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
            return  # the clock tells where it stays so
        now = self._clock()
        self._answered = now
        for rank, value in found.items():
            self._take(rank, status_of(value, self._key, rank), now)

    def _values(self, ranks: list[int]) -> dict[int, bytes]:
        """What stands in the places of these; without those that can't be read."""
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
            self.usurped.add(rank)  # somebody else's, or an old one again
            return
        self.usurped.discard(rank)
        if status.beat != beat:
            self._changed[rank] = (status.beat, now)
        self.statuses[rank] = status
