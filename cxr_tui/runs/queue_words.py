"""The queue in words, for the command and the console."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cxr_tui.runs.queue_end import QueueEnd
from cxr_tui.terminal.safe_text import duration

_LEFT = ("running", "begun", "waiting")
_A_DAY = 24 * 3600


def entries_in_words(number: int) -> str:
    """``1 entry``, ``2 entries``."""
    return "1 entry" if number == 1 else f"{number:,} entries"


def clock_of_end(end: QueueEnd, states: Sequence[str]) -> str:
    """``end 06:40``, or ``takes 2 h`` while none runs; '' if it isn't known, or nothing is left."""
    num_left = sum(state in _LEFT for state in states)
    if num_left == end.num_unknown:
        return ""
    return f"end {_clock(end)}" if "running" in states else f"takes {duration(end.seconds)}"


def end_in_words(end: QueueEnd, states: Sequence[str]) -> str:
    """When the queue is expected to be done; '' if it is."""
    num_left = sum(state in _LEFT for state in states)
    if num_left == 0:
        return ""
    if end.num_unknown == num_left:
        return "expected end unknown: no run of this kind was timed here yet"
    said = f"expected end {_clock(end)}, in {duration(end.seconds)}"
    if "running" not in states:
        said = f"takes {duration(end.seconds)} once a worker begins"
    if end.num_unknown:
        said += f", without {entries_in_words(end.num_unknown)} of a kind that was never timed"
    return said


def _clock(end: QueueEnd) -> str:
    form = "%H:%M" if end.seconds < _A_DAY else "%d %b %H:%M"
    return time.strftime(form, time.localtime(time.time() + end.seconds))
