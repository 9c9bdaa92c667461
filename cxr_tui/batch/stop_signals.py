"""Signals that request a stop, as a flag that the run reads at its next step.

Schedulers send SIGTERM, SIGUSR1 or SIGUSR2, depending on their settings, possibly more than once.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Self

from core.requests import Request
from cxr_tui.terminal.signal_handlers import Handled, Handler

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopSignals:
    """While open, a signal requests a stop, and Ctrl-C after it exits immediately.

    ``is_one_of_many``: torchrun started this process. It passes each signal on, more than once, and
    kills its workers 30 seconds after the first, also after a dropped line: all request a stop,
    none exits immediately.
    ``leaving``: an exception that the first signal raises, wherever the program is, instead of a
    request.
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

    def __enter__(self) -> Self:
        # A dropped line is no reason to stop: the run continues, and its session records it.
        on_hang_up = self._on_signal if self._is_one_of_many else signal.SIG_IGN
        handlers: dict[signal.Signals, Handler] = dict.fromkeys(STOP_SIGNALS, self._on_signal)
        self._handled = Handled(handlers | {signal.SIGHUP: on_hang_up})
        self._handled.__enter__()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._handled.__exit__(None, None, None)

    def next_request(self) -> Request:
        """What the run should do next."""
        return Request.STOP if self.stop_requested else Request.CONTINUE

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stop_requested:
            if number == signal.SIGINT and not self._is_one_of_many:
                raise KeyboardInterrupt
            return  # a scheduler that repeats it still wants the checkpoint
        self.stop_requested = True
        if self._is_one_of_many:
            return  # the session reports the stop once, whichever ranks it reached
        with contextlib.suppress(OSError, AttributeError, RuntimeError):
            at_once = "" if self._leaving else " (Ctrl-C: immediately)"
            sys.stderr.write(f"\n{self._said}{at_once}\n")
        if self._leaving is not None:
            raise self._leaving()
