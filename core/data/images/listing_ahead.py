"""List many folders in other processes, ahead of the walk that looks at their files.

Hundreds of thousands of small folders, as MIMIC-CXR-JPG has, take longer to list than to look at:
on a disk of this machine one core lists while another looks, and on a file server many questions
are under way at once.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from core.data.images.list_folders import read, receive, send

_AT_ONCE = 128  # folders that a process is given
_MOST_AHEAD = 16  # answers that wait to be looked at
_SLICE_SECONDS = 0.1
_PROGRAM = Path(__file__).with_name("list_folders.py")

Listed = tuple[str, list[str] | None]
"""A folder and the names of its files; None if it is to be listed by whoever asked."""


@dataclass(eq=False)
class _Piece:
    """A piece of the walk: folders that are listed, then a stack of those that aren't."""

    listed: list[Listed] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    child: subprocess.Popen[bytes] | None = None
    """That lists ``waiting``."""


def listed_ahead(
    waiting: list[str], processes: int, tell: Callable[[], None]
) -> Generator[Listed, None, None]:
    """The folders on a stack, and all below them, in the order of a walk.

    Args:
        waiting: the stack.
        processes: to list with. One that ends before its time costs nothing: its folders are left
            to the caller.
        tell: called several times a second while nothing comes; it may raise.
    """
    pieces = [_Piece(waiting=waiting)]  # in the order of the walk
    with contextlib.ExitStack() as stack:
        idle = [child for _ in range(processes) if (child := _started()) is not None]
        for child in idle:
            stack.callback(_end, child)
        while pieces:
            while idle and _give_out(pieces, idle[-1]):
                idle.pop()
            first = pieces[0]
            if first.child is not None:
                idle += _taken_in([one for one in pieces if one.child is not None], tell)
            elif first.listed:
                yield from first.listed
                first.listed = []
            elif first.waiting:  # no process is left
                yield first.waiting.pop(), None
            else:
                pieces.pop(0)


def _give_out(pieces: list[_Piece], child: subprocess.Popen[bytes]) -> bool:
    """Let a process list the first folders that nobody lists; whether there are any."""
    for place, piece in enumerate(pieces[:_MOST_AHEAD]):
        if piece.child is None and piece.waiting:
            some, piece.waiting = piece.waiting[-_AT_ONCE:], piece.waiting[:-_AT_ONCE]
            given, rest = _Piece(waiting=some, child=child), _Piece(waiting=piece.waiting)
            piece.waiting = []
            pieces[place + 1 : place + 1] = [given, rest] if rest.waiting else [given]
            with contextlib.suppress(OSError):  # it has ended: no answer will come
                send(cast(BinaryIO, child.stdin), "\0".join(some))
            return True
    return False


def _taken_in(asked: list[_Piece], tell: Callable[[], None]) -> list[subprocess.Popen[bytes]]:
    """Wait for an answer, and take in all that have come; the processes that can go on."""
    by_stream = {
        cast(BinaryIO, piece.child.stdout): (piece, piece.child)
        for piece in asked
        if piece.child is not None
    }
    while not (ready := select.select(list(by_stream), [], [], _SLICE_SECONDS)[0]):
        tell()
    idle = []
    for stream in ready:
        piece, child = by_stream[stream]
        piece.child = None
        if (answer := receive(stream)) is not None:  # else it has ended
            piece.listed, piece.waiting = read(answer)
            idle.append(child)
    return idle


def _started() -> subprocess.Popen[bytes] | None:
    """A process; None if the system can't start one."""
    if not sys.executable:
        return None
    # Isolated, as the working folder may have a signal.py; file names get our own encoding.
    spelling = f"utf8={sys.flags.utf8_mode}"
    command = [sys.executable, "-I", "-S", "-X", spelling, str(_PROGRAM)]
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):  # what could not be written
            cast(BinaryIO, stream).close()
