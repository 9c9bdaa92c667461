"""What no file may make the program do: write elsewhere, start something, run what it holds."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_SECONDS = 5.0
"""Of processor time, so that a busy machine is not blamed on the example."""

_LONGEST_WAIT_SECONDS = 30.0
"""By the clock, for what waits and computes nothing."""

_FORBIDDEN = ("exec", "compile", "pickle.find_class", "marshal.loads", "os.system", "os.exec")
_FORBIDDEN += ("os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen")
_FORBIDDEN += ("socket.connect", "socket.bind", "socket.getaddrinfo", "ctypes.dlopen", "import")
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink")
_CHANGES += ("os.truncate", "os.chmod", "os.chown", "os.utime", "shutil.rmtree", "os.mkfifo")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class HangError(BaseException):
    """An example took too long; no CxrError, and nothing that any except clause takes."""


class Watch:
    """Audits this process while an example is at work; what it may write in is one folder."""

    def __init__(self, allowed: Path) -> None:
        self._allowed = os.fspath(allowed.resolve()) + os.sep
        self._is_on = False
        self.breaches: list[str] = []
        sys.addaudithook(self._audit)
        for kind in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(kind, self._too_long)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Look on, and end what takes too long."""
        self.breaches.clear()
        self._limit(LONGEST_SECONDS, _LONGEST_WAIT_SECONDS)
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False
            self._limit(0, 0)

    def _limit(self, processor_seconds: float, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, processor_seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _too_long(self, *_: object) -> None:
        if self._is_on:
            raise HangError(
                f"more than {LONGEST_SECONDS:g} s of work or {_LONGEST_WAIT_SECONDS:g} s"
            )

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._is_on:
            return
        if event in _FORBIDDEN:
            self._breach(event, arguments)
        elif event == "open":
            path, mode, flags = arguments
            is_writing = isinstance(flags, int) and flags & (_WRITING | os.O_DIRECTORY)
            if is_writing or (isinstance(mode, str) and set(mode) & set("wax+")):
                self._must_be_inside(event, path)
        elif event in _CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                self._must_be_inside(event, path)

    def _must_be_inside(self, event: str, path: object) -> None:
        if isinstance(path, int) or path is None:
            return
        if os.sep not in os.fsdecode(path):  # type: ignore[arg-type]
            return  # in a folder that is open: it was looked at when it was opened
        whole = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        if not whole.startswith(self._allowed):
            self._breach(event, (whole,))

    def _breach(self, event: str, arguments: tuple[object, ...]) -> None:
        self.breaches.append(f"{event} {str(arguments)[:200]}")


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of a folder, with a digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
