"""Redirect what libraries print while the console runs to a log.

Python's prints and warnings, and what C code and child processes write to the descriptors 1 and 2,
go into a pipe; a thread writes them to a file line by line. The console draws on its own
descriptor.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

from core.store.files import open_own
from cxr_tui.terminal import safe_text as plain
from cxr_tui.terminal.safe_text import visible

_CHUNK_BYTES = 65536
_LONGEST_LINE = 8192
_SECONDS_TO_END = 1.0


class Screen(io.TextIOWrapper):
    """The terminal to draw on. Once it can't be written to, output is dropped.

    The error would end Textual's writer thread, and the loop would then wait for it forever.
    """

    is_gone = False

    @property
    def has_every_sign(self) -> bool:
        """Whether its encoding has braille and block characters."""
        return codecs.lookup(self.encoding).name.startswith(("utf", "gb18030"))

    def write(self, text: str) -> int:
        """Write, or note that the terminal is gone."""
        try:
            return super().write(text)
        except OSError:
            self.is_gone = True
            return len(text)

    def flush(self) -> None:
        """Flush, or note that the terminal is gone."""
        try:
            super().flush()
        except OSError:
            self.is_gone = True


class StrayOutput:
    """While open, descriptors 1 and 2 go to a log; ``terminal`` is their original target.

    ``session_log`` is called for every line and returns None if no session runs.
    """

    def __init__(self, session_log: Callable[[], Path | None]) -> None:
        self._session_log = session_log
        self._before: dict[int, int] = {}
        self._under_way = ""
        self.terminal: Screen

    def __enter__(self) -> Self:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        screen = os.dup(2 if os.isatty(2) else 1)
        # Replacements for characters that the encoding lacks must be one cell wide.
        self.terminal = Screen(
            open(screen, "wb"),  # noqa: PTH123 - a descriptor, closed with its wrapper
            encoding=sys.stderr.encoding,
            errors=plain.CLOSEST,
        )
        reading, writing = os.pipe()
        for descriptor in (1, 2):
            self._before[descriptor] = os.dup(descriptor)
            os.dup2(writing, descriptor)
        os.close(writing)
        # A daemon: a child that outlives us may hold the pipe open.
        self._thread = threading.Thread(
            target=self._read, args=(reading,), name="stray-output", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (sys.stdout, sys.stderr, self.terminal):
            with contextlib.suppress(OSError):
                stream.flush()
        for descriptor, before in self._before.items():
            os.dup2(before, descriptor)
            os.close(before)
        self._thread.join(_SECONDS_TO_END)
        with contextlib.suppress(OSError):
            self.terminal.close()

    def print(self, text: str) -> None:
        """Log what Python code prints, from any thread."""
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))

    def line_is_gone(self) -> bool:
        """Whether the terminal is gone: SIGHUP isn't always sent."""
        poll = select.poll()
        poll.register(0, 0)
        return self.terminal.is_gone or any(
            state & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, state in poll.poll(0)
        )

    def forget_terminal(self) -> None:
        """Drop all further input and output, since the terminal is gone."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, self.terminal.fileno(), *self._before.values()):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

    def _read(self, pipe: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        while chunk := os.read(pipe, _CHUNK_BYTES):
            self._take(decoder.decode(chunk))
        self._take("\n")
        os.close(pipe)

    def _take(self, text: str) -> None:
        *lines, rest = (self._under_way + text).split("\n")
        # A progress bar redraws after a carriage return: only the last one counts.
        self._under_way = rest if len(rest) < _LONGEST_LINE else _last_drawn(rest)
        if len(self._under_way) >= _LONGEST_LINE:
            lines.append(self._under_way)
            self._under_way = ""
        self._write([line for line in map(_last_drawn, lines) if line.strip()])

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        text = "".join(f"{now}  {visible(line)}\n" for line in lines)
        for path in (self._session_log(), console_log()):
            # A removed folder, a full disk: try the next place, or give up.
            with contextlib.suppress(OSError):
                if path is not None:
                    _append(path, text)
                    return


def console_log() -> Path:
    """The log for stray output while no session runs."""
    return platformdirs.user_log_path("cxr-tui") / "console.txt"


def _append(path: Path, text: str) -> None:
    if path == console_log():
        path.parent.mkdir(parents=True, exist_ok=True)
    # A single append: the engine appends its own lines to a session's log.
    descriptor = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, text.encode(errors="backslashreplace"))
    finally:
        os.close(descriptor)


def _last_drawn(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]
