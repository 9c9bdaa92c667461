"""Textual's driver on a terminal of our choice, with safe suspend and resume."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from typing import ClassVar, TextIO

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """Draws on a terminal that is neither stdout nor stderr."""

    TERMINAL: ClassVar[TextIO]

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]
        self._file: TextIO = self.TERMINAL  # type: ignore[assignment]

    def _get_terminal_size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self.TERMINAL.fileno())
        except OSError:
            return super()._get_terminal_size()
        return columns or 80, rows or 24

    def _sigtstp_application(self, *_: object) -> None:
        """Suspend like the terminal itself: the whole job, and only under a shell.

        Textual stops only this process, and forever if there is no shell to wake it.
        """
        is_drawing = self._auto_restart and _loop_runs()
        if is_drawing:
            self.suspend_application_mode()
            self._must_signal_resume = True
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # ignored if no shell could wake us
        signal.signal(signal.SIGTSTP, self._sigtstp_application)
        if is_drawing and self._must_signal_resume:
            self._draw_again()

    def _sigcont_application(self, *_: object) -> None:
        """Draw again after waking, even if the screen wasn't closed (after SIGSTOP)."""
        if not (self._auto_restart and _loop_runs()):
            return
        if self._is_in_background() and self._slept_on():
            return
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True
        self._draw_again()

    def _slept_on(self) -> bool:
        """Sleep until fg, whose signal then redraws; False if we are in the foreground by now.

        The kernel suspends a background process that sets its terminal's modes, here to their
        current values. Sending ourselves a signal could be too late, after an fg in between.
        """
        try:
            termios.tcsetattr(self.fileno, termios.TCSANOW, termios.tcgetattr(self.fileno))
        except termios.error:  # interrupted by fg's signal, or there is no shell to wake us
            return True
        return False

    def _draw_again(self) -> None:
        # The kernel wakes a job whose terminal is gone: then there is nothing to draw on.
        if os.isatty(self.fileno) and not self._is_in_background():
            self.resume_application_mode()

    def _is_in_background(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        except OSError:  # the terminal is gone, or isn't our controlling terminal
            return False


def driver_on(terminal: TextIO) -> type[Driver]:
    """A driver that draws on this terminal and uses its size, instead of descriptors 1 and 2."""
    return type("DriverOnTerminal", (TerminalDriver,), {"TERMINAL": terminal})


def _loop_runs() -> bool:
    """Whether the app is running: before and after, the terminal is in the shell's mode."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
