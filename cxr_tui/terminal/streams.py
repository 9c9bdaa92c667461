"""The program's stdout and stderr, whatever becomes of whoever reads them."""

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
    """Whether stdout takes every character."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name.startswith(("utf", "gb18030"))


def ready_streams() -> None:
    """From here on every text can be printed, whatever the encoding, to streams that are there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # It also takes the free descriptor, which the next file would get otherwise.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=CLOSEST)


def flush_stdout() -> None:
    """What was printed is out.

    Raises:
        BrokenPipeError: nobody reads it any more.
        RunFailedError: it can't be written.
    """
    with written():
        sys.stdout.flush()


def hush_stdout() -> None:
    """Nobody reads it: what is still to be flushed, at the process's end too, goes nowhere."""
    _silence(sys.stdout)


@contextlib.contextmanager
def written() -> Iterator[None]:
    """What stdout's disk says against it, as an error that names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hush_stdout()
        raise RunFailedError(
            error.strerror or str(error),
            where="stdout",
            why="What was printed is not whole.",
            remedy="Make room where it goes, or let it go elsewhere.",
        ) from error


class Outliving(io.TextIOBase):
    """A stream whose reader may leave: what can't be written then is dropped.

    ``error`` is why, from the first time on. On a full disk later writes are tried again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._error: OSError | None = None

    @property
    def error(self) -> OSError | None:
        """Why something could not be written, from the first time on."""
        return self._error

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """As of the stream below."""
        return "utf-8" if self._stream is None else self._stream.encoding

    def write(self, text: str) -> int:
        """Write, or drop it."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or let it be."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
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
    """A stream whose reader may leave or stall: a thread writes, and may have to drop the oldest.

    Text goes in by whole lines, or by what was written up to a ``flush``.
    """

    def __init__(self, stream: TextIO, outlet: Outlet) -> None:
        super().__init__(stream)
        self.outlet = outlet
        self._encoding = stream.encoding
        self._begun = ""

    @property
    def error(self) -> OSError | None:
        """Why something could not be written, from the first time on."""
        return self.outlet.error

    def write(self, text: str) -> int:
        """Have it written."""
        if self.outlet.is_closed:
            return super().write(text)
        with self.outlet.changed:
            self._begun += text
            if "\n" in text:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Have it written without a line's end; nothing is waited for."""
        if self.outlet.is_closed:
            super().flush()
            return
        with self.outlet.changed:
            begun, self._begun = self._begun, ""
            self.outlet.put(begun.encode(self._encoding, CLOSEST))

    def close_outlet(self, *, is_read: bool) -> None:
        """From here on nothing waits for the thread that writes; it may never run again."""
        self.outlet.is_closed = True
        if not is_read and self._stream is not None:
            _silence(self._stream)


def outlive_readers(*, json_on_stdout: bool = False) -> None:
    """From here to the process's end neither stdout nor stderr can end it, or keep it waiting."""
    outlets: dict[tuple[int, int], Outlet] = {}

    def unawaited(stream: TextIO | None, *, is_json: bool) -> TextIO:
        if isinstance(stream, Unawaited):
            return cast("TextIO", stream)
        try:
            if stream is None:
                return cast("TextIO", Outliving(None))
            stream.flush()
            status = os.fstat(stream.fileno())
        except (OSError, ValueError):  # closed, or none of the system's
            return cast("TextIO", Outliving(stream))
        # One thread where both are the same: what is written first is read first.
        place = (status.st_dev, status.st_ino)
        outlet = outlets.setdefault(place, Outlet(stream.fileno(), tells=not is_json))
        return cast("TextIO", Unawaited(stream, outlet))

    sys.stdout = unawaited(sys.stdout, is_json=json_on_stdout)
    sys.stderr = unawaited(sys.stderr, is_json=False)
    if outlets:
        atexit.register(let_out)


def let_out() -> None:
    """At the process's end: a moment for what was not read yet, and a word on what never was.

    What the interpreter itself still says goes straight to the descriptor, where all was read.
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
            # Its own thread has had that moment already where stdout's took it.
            unread = sys.stderr.outlet.drain(*([_SECONDS_AFTER_STDOUT] if lost else []))
            sys.stderr.close_outlet(is_read=not unread)
        if isinstance(sys.stdout, Unawaited):
            sys.stdout.close_outlet(is_read=not lost)


def leave_at_once(code: int) -> None:
    """End the process here: nothing is waited for but what is still to be read, for a moment."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    let_out()
    os._exit(code)


def lost_lines(lines: int) -> str:
    """That so many were dropped, in words."""
    return f"{lines:,} {'line was' if lines == 1 else 'lines were'} not taken by the reader"


def _silence(stream: TextIO) -> None:
    """What is still written to a stream that nobody reads any more goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
