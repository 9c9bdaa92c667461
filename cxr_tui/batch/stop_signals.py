"""Signals that ask for a stop, as a flag that the run reads at its next step.

Schedulers warn by SIGTERM, SIGUSR1 or SIGUSR2, as they are told to, and may warn more than once.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from core.requests import Request

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopSignals:
    """While open, a signal asks for a stop, and Ctrl-C after it leaves at once.

    ``is_one_of_many``: torchrun started us. It hands each signal on, more than once, and kills us
    30 seconds after the first, a dropped line's too: all ask for a stop, none leaves at once.
    ``leaving``: what the first signal raises, wherever the program is, in place of asking.
    """

    def __init__(
        self,
        said: str = "stopping after this step, with a checkpoint",
        *,
        is_one_of_many: bool = False,
        leaving: Callable[[], Exception] | None = None,
    ) -> None:
        self.stop_requested = False
        self._said = said
        self._is_one_of_many = is_one_of_many
        self._leaving = leaving
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for kind in STOP_SIGNALS:
            self._before[kind] = signal.signal(kind, self._on_signal)
        # A dropped line is no reason to stop: the run goes on, and its session tells of it.
        on_hang_up = self._on_signal if self._is_one_of_many else signal.SIG_IGN
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_hang_up)
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

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stop_requested:
            if number == signal.SIGINT and not self._is_one_of_many:
                raise KeyboardInterrupt
            return  # a scheduler that says it twice still wants the checkpoint
        self.stop_requested = True
        if self._is_one_of_many:
            return  # whichever ranks it reached, the session tells of the stop once
        with contextlib.suppress(OSError, AttributeError, RuntimeError):
            at_once = "" if self._leaving else " (Ctrl-C: at once)"
            sys.stderr.write(f"\n{self._said}{at_once}\n")
        if self._leaving is not None:
            raise self._leaving()
