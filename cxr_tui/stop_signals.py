"""SIGINT and SIGTERM as a flag that the run reads at its next step."""

from __future__ import annotations

import contextlib
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from core.requests import Request


class StopSignals:
    """While open, a first signal asks for a stop, and a second one leaves at once."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for kind in (signal.SIGINT, signal.SIGTERM):
            self._before[kind] = signal.signal(kind, self._on_signal)
        # A dropped line is no reason to stop: the run goes on, and its session tells of it.
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def next_request(self) -> Request:
        """What the run should do next."""
        return Request.STOP if self.stop_requested else Request.CONTINUE

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.stop_requested:
            raise KeyboardInterrupt
        self.stop_requested = True
        with contextlib.suppress(OSError, AttributeError, RuntimeError):
            sys.stderr.write("\nstopping after this step, with a checkpoint (again: at once)\n")
