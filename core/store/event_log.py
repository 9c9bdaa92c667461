"""Read a session's events: all, the last ones, a subsample, or new ones as they are written.

A week's run records two million steps, but a reader draws them in a chart. So only some steps are
parsed, and every other event.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.errors import DataError
from core.event_lines import event_of_line
from core.events import Event, StepRecorded
from core.regular_file import open_regular

_CHUNK_BYTES = 8 * 2**20
_TAIL_BYTES = 256 * 2**10
_STEP = b'{"event": "StepRecorded"'
_FREQUENT = (
    _STEP,
    b'{"event": "DatasetProgress"',
    b'{"event": "IngestProgress"',
    b'{"event": "ValidationProgress"',
)
_BYTES_A_STEP = 200
_FEW_BYTES = 16 * 2**10


@dataclass
class EventReader:
    """A position in a session's events.jsonl; ``offset`` is the byte after the last complete
    line."""

    path: Path
    offset: int = 0

    def new_events(self) -> list[Event]:
        """Events written since the last call; an incomplete line waits for the next one."""
        return list(self.each())

    def each(self) -> Iterator[Event]:
        """The same one by one, with only one chunk of the file in memory."""
        for chunk in self._chunks(None):
            yield from _parsed(self._lines(chunk))

    def _lines(self, chunk: bytes) -> list[bytes]:
        return chunk.split(b"\n")

    def thinned(self, max_steps: int = 20_000) -> Iterator[list[Event]]:
        """All events up to now, chunk by chunk, with at most about ``max_steps`` steps.

        The last step of the last chunk is always included.
        """
        size = self._size()
        keep_every = max(1, size // _BYTES_A_STEP // max_steps)
        for chunk in self._chunks(size):
            yield list(_parsed(_thin(chunk, keep_every)))

    def tail(self) -> list[Event]:
        """The last events, for a quick first view; ``offset`` does not change."""
        start = max(0, self._size() - _TAIL_BYTES)
        with contextlib.suppress(OSError), open_regular(self.path) as stream:
            stream.seek(start)
            lines = stream.read().split(b"\n")
            return list(_parsed(lines[1:] if start else lines))
        return []

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _chunks(self, end: int | None) -> Iterator[bytes]:
        """Complete lines from ``offset`` on, which advances; without the final newline."""
        try:
            stream = open_regular(self.path)
        except OSError:  # not created yet, or not readable
            return
        with stream:
            stream.seek(self.offset)
            while end is None or self.offset < end:
                chunk = stream.read(_CHUNK_BYTES)
                newline = chunk.rfind(b"\n")
                if newline < 0:
                    if len(chunk) < _CHUNK_BYTES or not self._pass_over_line(stream):
                        return
                    continue
                self.offset += newline + 1
                stream.seek(self.offset)
                yield chunk[:newline]

    def _pass_over_line(self, stream: BinaryIO) -> bool:
        """Skip a line that is longer than any event; False if it has no newline."""
        while chunk := stream.read(_CHUNK_BYTES):
            newline = chunk.find(b"\n")
            if newline >= 0:
                self.offset = stream.seek(newline + 1 - len(chunk), os.SEEK_CUR)
                return True
        return False


class MilestoneReader(EventReader):
    """Reads every event except steps and progress, which make up most of a long file."""

    _step = b""

    def last_step(self) -> StepRecorded | None:
        """The last step that was passed over; the only one that is parsed."""
        step = next(_parsed([self._step]), None)
        return step if isinstance(step, StepRecorded) else None

    def _lines(self, chunk: bytes) -> list[bytes]:
        lines = chunk.split(b"\n")
        self._step = next((line for line in reversed(lines) if line.startswith(_STEP)), self._step)
        return [line for line in lines if not line.startswith(_FREQUENT)]


def _thin(chunk: bytes, keep_every: int) -> list[bytes]:
    """About every ``keep_every``-th step, all other events, and the last line."""
    if keep_every == 1:
        return chunk.split(b"\n")
    kept = list(_sampled(chunk, keep_every))
    last = chunk[chunk.rfind(b"\n") + 1 :]
    if kept[-1] != last:
        kept.append(last)
    return kept


def _sampled(chunk: bytes, keep_every: int) -> Iterator[bytes]:
    """Find steps by searching the chunk, which is far faster than looking at each line."""
    num_steps = chunk.count(b"\n" + _STEP) + chunk.startswith(_STEP)
    if num_steps == chunk.count(b"\n") + 1:
        start = 0
        while start < len(chunk):
            end = chunk.find(b"\n", start)
            yield chunk[start : end if end >= 0 else len(chunk)]
            after = chunk.find(b"\n", start + keep_every * _BYTES_A_STEP)
            start = after + 1 if after >= 0 else len(chunk)
        return
    middle = chunk.find(b"\n", len(chunk) // 2)
    if len(chunk) > _FEW_BYTES and middle >= 0:
        yield from _sampled(chunk[:middle], keep_every)
        yield from _sampled(chunk[middle + 1 :], keep_every)
        return
    for number, line in enumerate(chunk.split(b"\n")):
        if number % keep_every == 0 or not line.startswith(_STEP):
            yield line


def _parsed(lines: list[bytes]) -> Iterator[Event]:
    """Parse the lines; damaged lines and events of newer versions are skipped."""
    for line in lines:
        with contextlib.suppress(DataError):
            event = event_of_line(line.decode(errors="replace"))
            if event is not None:
                yield event
