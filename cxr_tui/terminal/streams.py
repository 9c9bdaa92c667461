"""The program's stdout and stderr, robust against readers that close or stall."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO, cast

from core.errors import RunFailedError
from cxr_tui.terminal.outlet import Outlet
from cxr_tui.terminal.safe_text import CLOSEST

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SECONDS_AFTER_STDOUT = 0.5
_LATE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""One that comes once more as the process ends would change its exit code; Ctrl-C is heard."""


def stdout_is_unicode() -> bool:
    """Whether stdout can encode every character."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name.startswith(("utf", "gb18030"))


def ready_streams() -> None:
    """Make stdout and stderr exist and accept every text, whatever the encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # It also takes the free descriptor, which the next file would get otherwise.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=CLOSEST)


def flush_stdout() -> None:
    """Flush stdout.

    Raises:
        BrokenPipeError: the reader has closed.
        RunFailedError: it can't be written.
    """
    with written():
        sys.stdout.flush()


def hush_stdout() -> None:
    """Discard all further output, also at exit, since the reader has closed."""
    _silence(sys.stdout)


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Turn disk errors of stdout into an error that names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hush_stdout()
        raise RunFailedError(
            error.strerror or str(error),
            where="stdout",
            why="The output is incomplete.",
            remedy="Free space on that disk, or redirect the output elsewhere.",
        ) from error


class Outliving(io.TextIOBase):
    """A stream whose reader may close: output is then dropped.

    ``error`` is the first reason. On a full disk later writes are tried again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._error: OSError | None = None

    @property
    def error(self) -> OSError | None:
        """The first error of a write."""
        return self._error

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """As of the stream below."""
        return "utf-8" if self._stream is None else self._stream.encoding

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or ignore the error."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Whether it is a terminal that still exists."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """As of the stream below."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None or self._stream.closed:
            return
        try:
            act(self._stream)
        except OSError as error:
            self._error = self._error or error
            if error.errno not in _FULL:
                _silence(self._stream)


class Unawaited(Outliving):
    """A stream whose reader may close or stall: a thread writes, and may drop the oldest text.

    Text is queued by whole lines, or up to a ``flush``.
    """

    def __init__(self, stream: TextIO, outlet: Outlet) -> None:
        super().__init__(stream)
        self.outlet = outlet
        self._encoding = stream.encoding
        self._begun = ""

    @property
    def error(self) -> OSError | None:
        """The first error of a write."""
        return self.outlet.error

    def write(self, text: str) -> int:
        """Queue text."""
        if self.outlet.is_closed:
            return super().write(text)
        with self.outlet.changed:
            self._begun += text
            if "\n" in text:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Queue an incomplete line; doesn't wait."""
        if self.outlet.is_closed:
            super().flush()
            return
        with self.outlet.changed:
            begun, self._begun = self._begun, ""
            self.outlet.put(begun.encode(self._encoding, CLOSEST))

    def close_outlet(self, *, is_read: bool) -> None:
        """Never wait for the writing thread again; it may never run again."""
        self.outlet.is_closed = True
        if not is_read and self._stream is not None:
            _silence(self._stream)


def outlive_readers(*, json_on_stdout: bool = False) -> None:
    """From now on neither stdout nor stderr can end the process or block it."""
    outlets: dict[tuple[int, int], Outlet] = {}

    def unawaited(stream: TextIO | None, *, is_json: bool) -> TextIO:
        if isinstance(stream, Unawaited):
            return cast("TextIO", stream)
        try:
            if stream is None:
                return cast("TextIO", Outliving(None))
            stream.flush()
            status = os.fstat(stream.fileno())
        except (OSError, ValueError):  # closed, or not a system stream
            return cast("TextIO", Outliving(stream))
        # One thread if both are the same, to keep the order.
        place = (status.st_dev, status.st_ino)
        outlet = outlets.setdefault(place, Outlet(stream.fileno(), tells=not is_json))
        return cast("TextIO", Unawaited(stream, outlet))

    sys.stdout = unawaited(sys.stdout, is_json=json_on_stdout)
    sys.stderr = unawaited(sys.stderr, is_json=False)
    if outlets:
        atexit.register(let_out)


def let_out() -> None:
    """At exit: wait a moment for pending output, and report what was lost.

    The interpreter's own last messages go straight to the descriptor, if everything was read.
    """
    if threading.current_thread() is threading.main_thread():
        for kind in _LATE:
            signal.signal(kind, signal.SIG_IGN)
    lost = 0
    with contextlib.suppress(KeyboardInterrupt):
        if isinstance(sys.stdout, Unawaited):
            sys.stdout.flush()
            lost = sys.stdout.outlet.drain()
            if lost and not sys.stdout.isatty():
                sys.stderr.write(f"stdout: {lost_lines(lost)}\n")
        if isinstance(sys.stderr, Unawaited):
            sys.stderr.flush()
            # Its own thread has already had that moment while stdout's was waiting.
            unread = sys.stderr.outlet.drain(*([_SECONDS_AFTER_STDOUT] if lost else []))
            sys.stderr.close_outlet(is_read=not unread)
        if isinstance(sys.stdout, Unawaited):
            sys.stdout.close_outlet(is_read=not lost)


def leave_at_once(code: int) -> None:
    """Exit immediately, waiting only a moment for pending output."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    let_out()
    os._exit(code)


def lost_lines(lines: int) -> str:
    """A message on dropped lines."""
    return f"{lines:,} {'line was' if lines == 1 else 'lines were'} not taken by the reader"


def _silence(stream: TextIO) -> None:
    """Discard what is still written to a stream whose reader has closed."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
