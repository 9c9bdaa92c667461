"""The state of a session from its files and machine, besides its events: who writes, on what.

A killed run leaves no event about it. Looking takes a moment, so it belongs on a thread.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from core.store.files import is_file
from core.store.heartbeat import SILENT_AFTER_SECONDS
from core.store.session import Session
from cxr_tui.runs.device_use import CpuTime, cpu_time, gpu_words

INTERRUPTED, SILENT, GONE = "interrupted", "silent", "gone"


@dataclass(frozen=True)
class Liveness:
    """``state`` is empty if the events are right; ``device`` if nothing is known."""

    state: str = ""
    silent_seconds: float = 0.0
    writer: str = ""
    device: str = ""


@dataclass(frozen=True)
class LivenessLook:
    """What to look for, given what is shown."""

    session: Session
    is_ours: bool
    is_open: bool
    writer: tuple[str, int] | None
    device: str

    def look(self, before: CpuTime | None) -> tuple[Liveness, CpuTime | None]:
        """The current state; ``before`` is the last processor time, and the new one is returned.

        Of an ended session only the existence is checked.
        """
        if not is_file(self.session.path / "recipe.toml"):
            return Liveness(state=GONE), None
        if not self.is_open:
            return Liveness(), None
        host, pid = self.writer or ("", 0)
        if self.is_ours:
            host, pid = socket.gethostname(), os.getpid()
        is_here = self.is_ours or self.session.is_being_written()
        silence = self.session.seconds_since_heartbeat()
        # A suspended process holds its lock, but its heartbeat stops.
        is_silent = silence > SILENT_AFTER_SECONDS if silence is not None else not is_here
        if is_silent and not self.is_ours:
            return Liveness(SILENT if silence else INTERRUPTED, silence or 0.0), None
        if not is_here and host in ("", socket.gethostname()):
            return Liveness(state=INTERRUPTED), None
        writer = "" if self.is_ours or not host else f"{host}:{pid}"
        now = cpu_time(pid) if host == socket.gethostname() else None
        if now is None:
            return Liveness(writer=writer), None
        words = gpu_words(self.device, pid) if self.device.startswith("cuda") else now.words(before)
        return Liveness(writer=writer, device=words), now
