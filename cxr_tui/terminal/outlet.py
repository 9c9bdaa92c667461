"""stdout and stderr of a run, which never waits for their reader.

A reader may stop reading without closing: ``less``, a suspended ``tee``, Ctrl-S. A write then
blocks until it continues, and no signal is handled meanwhile. So a thread does the writing. Pending
output waits in memory. If it grows too large, the oldest is dropped, so that a run's last messages
are the last to be lost; how much was dropped is reported once somebody reads again.

Only Python's output is handled. C code writes to the descriptor directly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
import threading
import time
from collections import deque

MOST_WAITING_BYTES = 2**20
"""Bytes that wait for a reader: 15 minutes of events, or hours of messages."""

_CHUNK_BYTES = 65_536
_SECONDS_TO_TAKE = 2.0
_MOST_SECONDS_AT_END = 10.0
_RETRY_SECONDS = 1.0
_LOOK_MILLISECONDS = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TERMINAL_AS_IT_WAS = b"\r\x1b[2K\x1b[?25h"
"""Go to the start of the line, clear it and show the cursor: a progress bar may be incomplete."""


class Outlet:
    """One descriptor, written by its own thread; blocks of text are written or dropped as a whole.

    ``error`` is why nothing can be written any more, or not for now (a full disk). Once
    ``is_closed``, the lock must not be taken: when the interpreter exits, a thread that holds it
    never runs again.

    Args:
        descriptor: the target.
        tells: whether to write a line on how many were dropped; not valid in JSON.
    """

    def __init__(self, descriptor: int, *, tells: bool) -> None:
        self.error: OSError | None = None
        self.is_gone = False
        self.is_closed = False
        self._descriptor, self._tells = descriptor, tells
        self._is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        # A signal handler writes too, and may interrupt any line of the main thread.
        self.changed = threading.Condition(threading.RLock())
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = self._written_bytes = 0
        self._dropped_lines = self._passed_lines = 0
        self._is_writing = self._is_full = False
        self._thread: threading.Thread | None = None

    def put(self, block: bytes) -> None:
        """Queue a block; it is written immediately if somebody reads."""
        with self.changed:
            if self.is_gone or not block:
                return
            if _draws_again(block) and self._waiting and _draws_again(self._waiting[-1]):
                self._waiting_bytes -= len(self._waiting.pop())  # only a bar's newest state counts
            self._waiting.append(block)
            self._waiting_bytes += len(block)
            self._drop(MOST_WAITING_BYTES)
            if self._thread is None:
                # A daemon: a stalled reader must not keep the process from exiting.
                self._thread = threading.Thread(target=self._go_on, name="output", daemon=True)
                self._thread.start()
            self.changed.notify_all()

    def passed_lines(self) -> int:
        """Number of dropped lines not yet reported since the reader continued."""
        with self.changed:
            passed, self._passed_lines = self._passed_lines, 0
        return passed

    def drain(self, patience_seconds: float = _SECONDS_TO_TAKE) -> int:
        """Wait for pending output while somebody reads, or a moment; return the number of lost
        lines.

        Halfway through that moment everything but the last block is dropped: the run's final
        message.
        """
        end = time.monotonic() + _MOST_SECONDS_AT_END
        with self.changed:
            for pause in (patience_seconds / 2, patience_seconds / 2):
                self._wait_while_taken(pause, end)
                self._drop(0)
            left = sum(block.count(b"\n") for block in self._waiting)
            passed, self._passed_lines = self._passed_lines, 0
            return 0 if self.is_gone else left + self._dropped_lines + passed

    def _wait_while_taken(self, pause: float, end: float) -> None:
        """Wait until everything is written, or nothing was for ``pause`` seconds."""
        seen, until = self._written_bytes, time.monotonic() + pause
        while (self._waiting or self._is_writing) and not (self.is_gone or self._is_full):
            now = time.monotonic()
            if self._written_bytes != seen:
                seen, until = self._written_bytes, now + pause
            if now >= min(until, end):
                return
            self.changed.wait(min(until, end) - now)

    def _drop(self, most_bytes: int) -> None:
        """Drop the oldest blocks, but never the newest."""
        while self._waiting_bytes > most_bytes and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._waiting_bytes -= len(oldest)
            self._dropped_lines += oldest.count(b"\n")

    def _go_on(self) -> None:
        while not self.is_gone:
            with self.changed:
                while not self._waiting:
                    self.changed.wait()
                block = self._next()
                self._is_writing = True
            if self._is_pipe and len(block) > select.PIPE_BUF:
                self._wait_for_an_empty_pipe(len(block))
            self._write(block)
            with self.changed:
                self._is_writing = False
                self.changed.notify_all()
        self._waiting.clear()

    def _next(self) -> bytes:
        """The next block to write, after a notice of dropped ones."""
        block = self._waiting.popleft()
        self._waiting_bytes -= len(block)
        dropped, self._dropped_lines = self._dropped_lines, 0
        if self._tells:
            return self._notice(dropped) + block if dropped else block
        self._passed_lines += dropped
        return block

    def _notice(self, lines: int) -> bytes:
        which = "line was" if lines == 1 else "lines were"
        said = f"... {lines:,} {which} not taken by the reader\n".encode()
        return _TERMINAL_AS_IT_WAS + said if os.isatty(self._descriptor) else said

    def _write(self, block: bytes) -> None:
        while block:
            try:
                written = os.write(self._descriptor, block[:_CHUNK_BYTES])
            except BlockingIOError:  # another process made the shared descriptor non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = self.error or error
                if error.errno not in _FULL:
                    self._release()
                    return
                with self.changed:
                    self._is_full = True
                    self.changed.notify_all()
                time.sleep(_RETRY_SECONDS)
            else:
                block = block[written:]
                with self.changed:
                    self._is_full = False
                    self._written_bytes += written
                    self.changed.notify_all()

    def _wait_for_an_empty_pipe(self, num_bytes: int) -> None:
        """Wait until a long line fits as a whole: the process may exit before the rest is read.

        Up to ``PIPE_BUF`` bytes the kernel guarantees that.
        """
        poll = select.poll()
        poll.register(self._descriptor, 0)  # only to notice when the reader closes
        with contextlib.suppress(OSError, AttributeError):  # not supported on every system
            while struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))[0]:
                if poll.poll(_LOOK_MILLISECONDS):
                    return
            if fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ) < num_bytes:
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, num_bytes)

    def _release(self) -> None:
        """The reader has closed: also discard what C code still writes."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
        with self.changed:
            self.is_gone = True


def _draws_again(block: bytes) -> bool:
    """Whether the block redraws a progress bar over the previous one."""
    return block.startswith(b"\r") and b"\n" not in block
