"""stdout and stderr of a run, which never waits for whoever reads them.

A reader may stop reading without leaving: ``less``, a suspended ``tee``, Ctrl-S. A write then
takes until it goes on, and no signal is obeyed meanwhile. So a thread does the writing. What it
has not written yet waits in memory; where that is too much, the oldest goes, so that a run's last
words are the last to be lost, and how much went is said once somebody reads again.

Only what Python writes comes this way. C code writes to the descriptor itself.
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
"""So much waits for a reader: a quarter of an hour of events, or hours of what is told."""

_CHUNK_BYTES = 65_536
_SECONDS_TO_TAKE = 2.0
_MOST_SECONDS_AT_END = 10.0
_RETRY_SECONDS = 1.0
_LOOK_MILLISECONDS = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TERMINAL_AS_IT_WAS = b"\r\x1b[2K\x1b[?25h"
"""To a line's start, the line cleared, the cursor shown: a bar may have been lost half-way."""


class Outlet:
    """One descriptor, written by a thread of its own; whole blocks of text go in or are dropped.

    ``error`` is why nothing more can be written, or why it can't for now (a full disk). Once
    ``is_closed`` nobody may take the lock: as the interpreter ends, a thread that holds it is
    never woken again.

    Args:
        descriptor: where to.
        tells: whether a line there says how many were dropped; JSON has no place for one.
    """

    def __init__(self, descriptor: int, *, tells: bool) -> None:
        self.error: OSError | None = None
        self.is_gone = False
        self.is_closed = False
        self._descriptor, self._tells = descriptor, tells
        self._is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        # A signal's handler writes too, from inside any line of the thread that it interrupts.
        self.changed = threading.Condition(threading.RLock())
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = self._written_bytes = 0
        self._dropped_lines = self._passed_lines = 0
        self._is_writing = self._is_full = False
        self._thread: threading.Thread | None = None

    def put(self, block: bytes) -> None:
        """Have it written; at once where it is being read."""
        with self.changed:
            if self.is_gone or not block:
                return
            if _draws_again(block) and self._waiting and _draws_again(self._waiting[-1]):
                self._waiting_bytes -= len(self._waiting.pop())  # a bar's newest state counts
            self._waiting.append(block)
            self._waiting_bytes += len(block)
            self._drop(MOST_WAITING_BYTES)
            if self._thread is None:
                # A daemon: who doesn't read must not keep the process from its end.
                self._thread = threading.Thread(target=self._go_on, name="output", daemon=True)
                self._thread.start()
            self.changed.notify_all()

    def passed_lines(self) -> int:
        """How many lines were dropped that nobody was told of, since the reader reads again."""
        with self.changed:
            passed, self._passed_lines = self._passed_lines, 0
        return passed

    def drain(self, patience_seconds: float = _SECONDS_TO_TAKE) -> int:
        """Wait for what is left: while somebody reads, or a moment; how many lines were not taken.

        Half-way through the moment all goes but the last block: a run's last word, if it can be
        only one.
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
        """Until all is written, or nothing was for so long."""
        seen, until = self._written_bytes, time.monotonic() + pause
        while (self._waiting or self._is_writing) and not (self.is_gone or self._is_full):
            now = time.monotonic()
            if self._written_bytes != seen:
                seen, until = self._written_bytes, now + pause
            if now >= min(until, end):
                return
            self.changed.wait(min(until, end) - now)

    def _drop(self, most_bytes: int) -> None:
        """The oldest blocks, but never the newest."""
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
        """The block that is written next, after what was dropped before it."""
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
            except BlockingIOError:  # another process that shares it has made it so
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
        """So that a long line goes in as a whole: the process may end before it is read on.

        Up to ``PIPE_BUF`` bytes the kernel sees to that.
        """
        poll = select.poll()
        poll.register(self._descriptor, 0)  # for the reader's leaving alone
        with contextlib.suppress(OSError, AttributeError):  # not every system tells, or has these
            while struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))[0]:
                if poll.poll(_LOOK_MILLISECONDS):
                    return
            if fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ) < num_bytes:
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, num_bytes)

    def _release(self) -> None:
        """Nobody reads it any more: what C code still writes there goes nowhere, too."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
        with self.changed:
            self.is_gone = True


def _draws_again(block: bytes) -> bool:
    """Whether it is a progress bar over the one before."""
    return block.startswith(b"\r") and b"\n" not in block
