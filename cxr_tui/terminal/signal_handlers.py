"""Signal handlers for the duration of a block."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


class Handled:
    """Each signal goes to its handler; on leaving to whatever had it before.

    Not a generator's context: one that is entered for good would restore the handlers when it is
    collected.
    """

    def __init__(self, handlers: Mapping[signal.Signals, Handler]) -> None:
        self._handlers = handlers
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        for number, handler in self._handlers.items():
            self._before[number] = signal.signal(number, handler)

    def __exit__(self, *_raised: object) -> None:
        for number, earlier in self._before.items():
            signal.signal(number, earlier)
