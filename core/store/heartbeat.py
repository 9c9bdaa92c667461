"""A heartbeat that other hosts can see: a file that is touched every few seconds.

It shows that the writer's process lives and its disk responds, not that the run makes progress. A
separate thread beats, so that a slow step, a long validation or a pause doesn't look dead. A
suspended process doesn't beat; one whose run hangs does, which only the time of its last event
shows. A clean end is recorded in the file, since the last beat may be recent.
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
"""After this long without a beat, a session that hasn't ended counts as silent."""


class Heartbeat:
    """Beats until ``stop()``, in an opened folder, even if that is moved."""

    def __init__(self, session: int) -> None:
        # Its own descriptor: a beat that the disk delays may outlive the writer.
        self._session = os.dup(session)
        self._ended = threading.Event()
        self._beat(os.O_TRUNC)
        # A daemon: an unresponsive disk must not keep the process from exiting.
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and record a clean end."""
        self._ended.set()
        self._thread.join(BEAT_SECONDS)

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._beat()
        self._beat(content=_ENDED)
        os.close(self._session)

    def _beat(self, flag: int = 0, content: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # full disk or removed folder: the run reports it
            flags = os.O_WRONLY | os.O_CREAT | flag
            descriptor = open_own(Path("heartbeat"), flags, folder=self._session)
            try:
                os.utime(descriptor)
                os.write(descriptor, content)
            finally:
                os.close(descriptor)


def last_beat(session: Path) -> float | None:
    """Time of the last beat, by the file system's clock; None if there was none."""
    try:
        # Opened, not just stat: a network file system then asks its server again.
        with open_regular(session / "heartbeat") as heartbeat:
            return os.fstat(heartbeat.fileno()).st_mtime
    except OSError:
        return None


def has_ended(session: Path) -> bool:
    """Whether the last writer recorded a clean end."""
    try:
        with open_regular(session / "heartbeat") as heartbeat:
            return heartbeat.read(len(_ENDED)) == _ENDED
    except OSError:
        return False


def seconds_since_beat(session: Path) -> float | None:
    """Age of the last beat in seconds, None if there was none; negative if clocks disagree.

    Two hosts' clocks may disagree, so both times come from the file system: that of the beat, and
    that of an unnamed temporary file. In another user's session, or without write access, our own
    clock is used.
    """
    beat = last_beat(session)
    return None if beat is None else _time_of_file_system(session) - beat


def beats_within(
    session: Path, seconds: float, while_waiting: Callable[[], None] = lambda: None
) -> bool:
    """Wait for a beat; True as soon as there is one. No clocks are compared."""
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
