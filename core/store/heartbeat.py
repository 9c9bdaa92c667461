"""A sign of life, seen from other hosts too: a file that is touched every few seconds.

It says that the writer's process lives and that its disk answers, not that the run gets on: a
thread of its own beats, so that one slow step, a long validation or a pause doesn't read as
dead. A suspended process doesn't beat; one whose run hangs does, and only the time of its last
event tells. A clean end is written into the file: what beat a moment ago may be over.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from core.regular_file import open_regular
from core.store.files import open_own

BEAT_SECONDS = 5.0

_ENDED = b"ended\n"

SILENT_AFTER_SECONDS = 120.0
"""Without a beat for so long, a session that nobody ended counts as silent."""


class Heartbeat:
    """Beats from its making to ``stop()``, in an opened folder, wherever that is moved."""

    def __init__(self, session: int) -> None:
        # One of its own: a beat that the disk holds back may outlast the writer.
        self._session = os.dup(session)
        self._ended = threading.Event()
        self._beat(os.O_TRUNC)
        # A daemon: a disk that doesn't answer must not keep the process from its end.
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join(BEAT_SECONDS)

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._beat()
        self._beat(content=_ENDED)
        os.close(self._session)

    def _beat(self, flag: int = 0, content: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # a full disk, a folder that is gone: the run will tell
            flags = os.O_WRONLY | os.O_CREAT | flag
            descriptor = open_own(Path("heartbeat"), flags, folder=self._session)
            try:
                os.utime(descriptor)
                os.write(descriptor, content)
            finally:
                os.close(descriptor)


def last_beat(session: Path) -> float | None:
    """When it beat last, by the clock of the file system; None where it never did."""
    try:
        # Opened, not only looked at: a network file system then asks its server anew.
        with open_regular(session / "heartbeat") as heartbeat:
            return os.fstat(heartbeat.fileno()).st_mtime
    except OSError:
        return None


def has_ended(session: Path) -> bool:
    """Whether the one that beat last has ended, and said so."""
    try:
        with open_regular(session / "heartbeat") as heartbeat:
            return heartbeat.read(len(_ENDED)) == _ENDED
    except OSError:
        return False


def seconds_since_beat(session: Path) -> float | None:
    """Age of the last beat, or None where there is none; negative where clocks disagree.

    Two hosts' clocks needn't agree: both times are the file system's, that of the beat and that
    of a nameless file made for the purpose. In a session of somebody else's, and where we may not
    write, our own clock has to do.
    """
    beat = last_beat(session)
    return None if beat is None else _time_of_file_system(session) - beat


def beats_within(
    session: Path, seconds: float, while_waiting: Callable[[], None] = lambda: None
) -> bool:
    """Watch for so long; True as soon as it beats. No clock is compared with another."""
    before, end = last_beat(session), time.monotonic() + seconds
    while time.monotonic() < end:
        while_waiting()
        time.sleep(min(0.25, seconds))
        if last_beat(session) != before:
            return True
    return False


def _time_of_file_system(folder: Path) -> float:
    try:
        if folder.stat().st_uid != os.geteuid():
            return time.time()
        with tempfile.TemporaryFile(dir=folder) as nameless:
            return os.fstat(nameless.fileno()).st_mtime
    except OSError:
        return time.time()
