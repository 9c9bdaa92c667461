"""Signals to the console, from before its first paint to the end of the run that outlives it.

A dropped line lets go of the screen and the run goes on; SIGTERM, SIGUSR1 and SIGUSR2 stop it with
a checkpoint. The event loop's own handlers would go with the loop, before the run ends, and a
second signal would then kill it: shells do send SIGHUP twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from cxr_tui.app.app import ConsoleApp

_STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class ConsoleSignals:
    """While open, signals reach the app, and the run alone once the app is left."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for kind, handler in (
            (signal.SIGHUP, self._on_hang_up),
            *((k, self._on_stop) for k in _STOPPING),
        ):
            self._before[kind] = signal.signal(kind, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_hang_up(self, _number: int, _frame: FrameType | None) -> None:
        _on_running_loop(self._app.leave_screen)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._app.workspace.running is not None:
            self._app.workspace.running.stop()  # here and now: the loop may be at its end
        _on_running_loop(self._app.stop_and_leave)


def _on_running_loop(act: Callable[[], None]) -> None:
    """Have it done by the app's loop, where that runs: a signal may come at any line."""
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop().call_soon_threadsafe(act)
