"""A sign of life of every rank, where all can see it: who is gone, who was asked to stop.

A thread writes ours into the store that the ranks found each other by, twice a second, and reads
those of all. So a rank is missed also where its host vanished and no connection was closed, and a
signal that came to one rank is known to rank 0 while both compute.
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

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

BEAT_SECONDS = 0.5
SILENT_SECONDS = 25.0
"""A rank without a beat for so long is gone."""

_LONGEST_LOOK_AWAY_SECONDS = 5.0
"""A longer gap between two looks of our own is a suspension, and counts as so much."""


@dataclass(frozen=True)
class Sign:
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


class Pulse:
    """Ours beats from its making to ``stop()``; ``signs`` are those of all ranks, as last seen."""

    def __init__(self, store: Store, rank: int, size: int) -> None:
        self._store = store
        self._rank = rank
        self._keys = [f"pulse/{number}" for number in range(size)]
        self._lock = threading.Lock()
        self._ours = Sign(socket.gethostname(), os.getpid())
        self._ended = threading.Event()
        self._clock = AwakeClock()
        self._changed: dict[int, tuple[int, float]] = {}
        self.signs: dict[int, Sign] = {}
        self.store_is_gone = False
        self.show()
        self._thread = threading.Thread(target=self._go_on, name="pulse", daemon=True)
        self._thread.start()

    def show(self, **changes: str | bool | int) -> None:
        """Let the others know, at once."""
        with self._lock:
            self._ours = replace(self._ours, beat=self._ours.beat + 1, **changes)  # type: ignore[arg-type]
            try:
                self._store.set(self._keys[self._rank], json.dumps(asdict(self._ours)))
            except RuntimeError:  # torch.distributed's errors of a store are such
                self.store_is_gone = True

    def look(self) -> None:
        """See the signs of all ranks as they are now."""
        try:
            there = [key for key in self._keys if self._store.check([key])]
            values = self._store.multi_get(there)
        except RuntimeError:
            self.store_is_gone = True
            return
        now = self._clock()
        for key, value in zip(there, values, strict=True):
            rank, sign = int(key.rpartition("/")[2]), Sign(**json.loads(value))
            beat, _ = self._changed.get(rank, (-1, now))
            if beat != sign.beat:
                self._changed[rank] = (sign.beat, now)
            self.signs[rank] = sign

    def silent_ranks(self, seconds: float = SILENT_SECONDS) -> list[int]:
        """Other ranks without a beat for so long that have not said that they leave."""
        now = self._clock()
        changed = dict(self._changed)
        return [
            rank
            for rank, (_, when) in sorted(changed.items())
            if rank != self._rank and now - when > seconds and self.signs[rank].code is None
        ]

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join(2 * BEAT_SECONDS)

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self.show()
            self.look()
