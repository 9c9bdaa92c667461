"""Run the console from start to end: the terminal, the app, the run that outlives it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from core.requests import Request
from cxr_tui.app.app import STOPPED, ConsoleApp
from cxr_tui.app.keymap import read_keymap
from cxr_tui.app.signals import console_signals
from cxr_tui.config import user_config
from cxr_tui.console.preferences import preferences_path
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.driver import driver_on
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stray_output import StrayOutput
from cxr_tui.terminal.title import Title

if TYPE_CHECKING:
    from cxr_tui.runs.open_session import OpenSession


def run_console(
    sessions: Path,
    cache: Path,
    device: str,
    *,
    ascii_only: bool,
    attach: str | None,
    on_end: str | None = None,
    changes: Sequence[str] = (),
) -> int:
    """Run the console until it is left, then wait for a run that is still active.

    Raises:
        UsageError: the user's keys are invalid.
        RecipeError: a change of the first recipe can't be made.
        Exception: the error that ended the console, after the terminal was restored.
    """
    keymap, config = read_keymap(), user_config()
    workspace = Workspace(sessions, cache, device, on_end)
    if changes:
        from core.recipe_toml import changed_recipe  # not before the first paint

        workspace.draft = changed_recipe(workspace.draft, changes)
    with StrayOutput(lambda: workspace.running.session.log if workspace.running else None) as stray:
        app = ConsoleApp(
            workspace,
            ascii_only=ascii_only or not stray.terminal.has_every_sign,
            attach=attach,
            driver_class=driver_on(stray.terminal),
            on_print=stray.print,
            line_is_gone=stray.line_is_gone,
            preferences=preferences_path(),
            theme_name=config.values.get("theme"),
        )
        app.set_keymap(keymap)
        with console_signals(app), Title(stray.terminal):
            code = app.run() or 0
            if app.line_was_lost:
                stray.forget_terminal()
            if workspace.running is not None:
                code = _after_console(app, workspace.running, stray.terminal, code)
            app.queue_work.leave()
            if app.queue_work.is_on and app.line_was_lost:
                code = _rest_of_queue(workspace) or code
            elif app.queue_work.is_on and not app.line_was_lost:
                _say(stray.terminal, "the queue waits; go on with: cxr-tui queue run")
            _wait_for_on_end(app, stray.terminal)
    if app.defect is not None:
        raise app.defect
    return code


def _after_console(app: ConsoleApp, running: OpenSession, terminal: TextIO, code: int) -> int:
    """Wait for a run that was active when the console was left, or hand it over; return the exit
    code."""
    _wait(running, terminal, says_so=not app.line_was_lost)
    if app.line_was_lost:
        return _exit_code(running)
    if app.leaves_running and running.view.state == "stopped" and not running.is_abandoned:
        is_of_queue = app.queue_work.is_at(running) and not app.queue_work.is_paused
        app.queue_work.is_on = app.queue_work.is_on and not is_of_queue
        app.queue_work.leave()
        _hand_over(app.workspace, running, terminal, is_of_queue=is_of_queue)
    else:
        _say(terminal, _last_line(running))
    return code


def _rest_of_queue(workspace: Workspace) -> int:
    """Work on the queue without a screen, as its console did until its line dropped."""
    from core.store.queue.queue import Queue
    from cxr_tui.batch.queue_worker import QueueWorker

    queue = Queue(workspace.sessions)
    worker = QueueWorker(
        queue, workspace.device, workspace.cache, True, lambda _: None, workspace.on_end
    )
    return worker.work()


def _wait(running: OpenSession, terminal: TextIO, *, says_so: bool) -> None:
    """Wait for the end of a run that was active when the console was left.

    It was asked to stop, or continues because the line was lost.
    """

    if running.is_ours and not running.view.is_over:  # otherwise it ended while the screen closed
        how = "without a checkpoint" if running.is_abandoned else "with a checkpoint"
        when = f"after this step, {how}" if running.view.step else "before its first step"
        if says_so:
            what = "handing it over" if running.source.is_handed_over else "stopping"
            _say(terminal, f"{running.name}: {what} {when}")
    try:
        running.source.join()
    except KeyboardInterrupt:
        running.source.ask(Request.ABANDON)
        running.source.join()
    running.take_events()


def _wait_for_on_end(app: ConsoleApp, terminal: TextIO) -> None:
    """Wait for the user's command; Ctrl-C leaves it to itself."""
    with contextlib.suppress(KeyboardInterrupt):
        app.workspace.wait_for_on_end(
            lambda text: None if app.line_was_lost else _say(terminal, text)
        )


def _hand_over(
    workspace: Workspace, running: OpenSession, terminal: TextIO, *, is_of_queue: bool
) -> None:
    """Let a process without a screen continue the run, and say how to return to it."""
    _say(terminal, f"{running.name}: a process without a screen takes it over")
    from cxr_tui.app.detach import detached  # not before the first paint

    try:
        number, is_at_work = detached(running.session, workspace, rest_of_queue=is_of_queue)
    except OSError as error:
        _say(terminal, f"it can't be started ({error.strerror})\n{_last_line(running)}")
        return
    path = running.session.path
    if is_at_work:
        _say(terminal, f"it continues as process {number}; return with: cxr-tui --attach {path}")
    else:
        why = f"process {number} has not taken it over; {path / 'log.txt'} says why"
        _say(terminal, f"{why}\n{_last_line(running)}")


def _say(terminal: TextIO, text: str) -> None:
    terminal.write(visible(text) + "\n")
    terminal.flush()


def _exit_code(running: OpenSession) -> int:
    """The exit code of a run that continued without a screen."""
    if running.view.state == "failed":
        from core.events import Failed  # not before the first paint

        failures = [event for event in running.session.milestones() if isinstance(event, Failed)]
        return failures[-1].exit_code
    return 0 if running.view.state == "finished" else STOPPED


def _last_line(running: OpenSession) -> str:
    if running.view.state == "finished":
        return f"{running.name} finished"
    if running.source.is_taken_away:
        return f"{running.source.error}\n{running.name} was removed: nothing of it had started"
    step = running.view.kept[1] if running.view.kept else 0
    why = f"{visible(running.source.error)}\n" if running.source.error else ""
    return f"{why}continue from step {step:,} with: cxr-tui --resume {running.session.path}"
