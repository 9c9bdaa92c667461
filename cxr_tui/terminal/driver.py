"""Textual's driver, on a terminal of our choice, suspended and woken without harm."""

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
        """Suspend as the terminal itself would: the whole job, and only under a shell.

        Textual stops this process alone, and for ever where no shell is there to wake it.
        """
        is_drawing = self._auto_restart and _loop_runs()
        if is_drawing:
            self.suspend_application_mode()
            self._must_signal_resume = True
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # passed over where no shell could wake us
        signal.signal(signal.SIGTSTP, self._sigtstp_application)
        if is_drawing and self._must_signal_resume:
            self._draw_again()

    def _sigcont_application(self, *_: object) -> None:
        """Awake: draw again, also where nothing was put away (after SIGSTOP)."""
        if not (self._auto_restart and _loop_runs()):
            return
        if self._is_in_background() and self._slept_on():
            return
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True
        self._draw_again()

    def _slept_on(self) -> bool:
        """Until fg, whose signal then draws; False where we are in the foreground by now.

        The kernel suspends whoever sets a terminal's modes from the background, here to what they
        are. A signal of our own could come after a fg that came since we looked.
        """
        try:
            termios.tcsetattr(self.fileno, termios.TCSANOW, termios.tcgetattr(self.fileno))
        except termios.error:  # interrupted by the signal of fg, or nobody is there to wake us
            return True
        return False

    def _draw_again(self) -> None:
        # The kernel wakes a job whose terminal is gone: then there is nowhere to draw.
        if os.isatty(self.fileno) and not self._is_in_background():
            self.resume_application_mode()

    def _is_in_background(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        except OSError:  # the terminal is gone, or not the one that sends us signals
            return False


def driver_on(terminal: TextIO) -> type[Driver]:
    """A driver that draws on this terminal and asks it for its size, not descriptors 1 and 2."""
    return type("DriverOnTerminal", (TerminalDriver,), {"TERMINAL": terminal})


def _loop_runs() -> bool:
    """Whether the app is at work: before and after it the terminal is as the shell has it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
