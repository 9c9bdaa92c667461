"""The console from its start to the last line: the terminal, the app, the run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from core.events import Failed
from core.requests import Request
from cxr_tui.app.app import STOPPED, ConsoleApp
from cxr_tui.app.keymap import read_keymap
from cxr_tui.app.signals import ConsoleSignals
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.driver import driver_on
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stray_output import StrayOutput

if TYPE_CHECKING:
    from cxr_tui.runs.open_session import OpenSession


def run_console(
    sessions: Path, cache: Path, device: str, *, ascii_only: bool, attach: str | None
) -> int:
    """The console until it is left; a run that goes on is waited for.

    Raises:
        UsageError: the user's keys can't be used as they are.
        Exception: whatever ended the console, after the terminal was restored.
    """
    keymap = read_keymap()
    workspace = Workspace(sessions, cache, device)
    with StrayOutput(lambda: workspace.running.session.log if workspace.running else None) as stray:
        app = ConsoleApp(
            workspace,
            ascii_only=ascii_only or not stray.terminal.has_every_sign,
            attach=attach,
            driver_class=driver_on(stray.terminal),
            on_print=stray.print,
            line_is_gone=stray.line_is_gone,
        )
        app.set_keymap(keymap)
        with ConsoleSignals(app):
            code = app.run() or 0
            if app.line_was_lost:
                stray.forget_terminal()
            if workspace.running is not None:
                _wait(workspace.running, stray.terminal, says_so=not app.line_was_lost)
                if app.line_was_lost:
                    code = _exit_code(workspace.running)
    if app.defect is not None:
        raise app.defect
    return code


def _wait(running: OpenSession, terminal: TextIO, *, says_so: bool) -> None:
    """Wait for the end of a run that was on when the console was left, and tell how to go on.

    It was asked to stop, or goes on since the line was lost.
    """

    def say(text: str) -> None:
        if says_so:
            terminal.write(visible(text) + "\n")
            terminal.flush()

    if running.is_ours and not running.view.is_over:  # else it ended as the screen was put away
        how = "without a checkpoint" if running.is_abandoned else "with a checkpoint"
        when = f"after this step, {how}" if running.view.step else "before its first step"
        say(f"{running.name}: stopping {when}")
    try:
        running.wait()
    except KeyboardInterrupt:
        running.ask(Request.ABANDON)
        running.wait()
    running.take_events()
    say(_last_line(running))


def _exit_code(running: OpenSession) -> int:
    """What a run that went on without a screen would say to a script."""
    if running.view.state == "failed":
        failures = [event for event in running.session.milestones() if isinstance(event, Failed)]
        return failures[-1].exit_code
    return 0 if running.view.state == "finished" else STOPPED


def _last_line(running: OpenSession) -> str:
    if running.view.state == "finished":
        return f"{running.name} finished"
    if running.is_taken_away:
        return f"{running.error}\n{running.name} was taken away again: nothing of it had begun"
    step = running.view.kept[1] if running.view.kept else 0
    why = f"{visible(running.error)}\n" if running.error else ""
    return f"{why}go on from step {step:,} with: cxr-tui --resume {running.session.path}"
