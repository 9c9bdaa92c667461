"""Handle signals to the console, from before its first paint to the end of its run.

A dropped line closes the screen and the run continues; SIGTERM, SIGUSR1 and SIGUSR2 stop it with a
checkpoint. The event loop's own handlers would end with the loop, before the run, and a second
signal would then kill it: shells do send SIGHUP twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from core.requests import Request
from cxr_tui.app.app import ConsoleApp
from cxr_tui.terminal.signal_handlers import Handled

_STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def console_signals(app: ConsoleApp) -> Iterator[None]:
    """Send signals to the app and, once the app is left, to the run."""

    def on_hang_up(_number: int, _frame: FrameType | None) -> None:
        _on_running_loop(app.leave_screen)

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        app.queue_work.is_on = False
        running = app.workspace.running
        if running is not None:
            running.source.ask(Request.STOP)  # immediately, since the loop may be ending
        _on_running_loop(app.stop_and_leave)

    with Handled({signal.SIGHUP: on_hang_up} | dict.fromkeys(_STOPPING, on_stop)):
        yield


def _on_running_loop(act: Callable[[], None]) -> None:
    """Run it on the app's loop if that is running: a signal may come at any line."""
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop().call_soon_threadsafe(act)
