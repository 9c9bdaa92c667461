"""The console: modes, global keys, themes, and the timer that carries news to the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.worker import WorkerFailed

from core.requests import Request
from cxr_tui.app.modes import MODES
from cxr_tui.app.palette import SessionCommands, console_commands
from cxr_tui.app.quitting import quit_question
from cxr_tui.console.console import Console
from cxr_tui.console.dialogs import KeysHelp, Question
from cxr_tui.console.key_help import keys_shown
from cxr_tui.console.themes import THEMES
from cxr_tui.console.top_line import SCREENS
from cxr_tui.console.workspace import Workspace
from cxr_tui.widgets.whole_cells import WholeCells

POLLS_PER_SECOND = 4
STOPPED = 75


class ConsoleApp(Console):
    """cxr-tui's console. What it works on is the workspace's; the widgets only show it."""

    TITLE = "cxr-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = App.COMMANDS | {SessionCommands}
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = dict(MODES)
    DEFAULT_MODE = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(digit), f"mode('{mode}')", title, id=f"mode.{mode}", show=False)
            for digit, (mode, title) in enumerate(SCREENS, start=1)
        ),
        Binding("q", "leave", "quit", id="quit", show=True),
        Binding("ctrl+c,ctrl+q", "leave", "quit", id="quit.ctrl", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", id="suspend", show=False, priority=True),
        # Not a priority: while a field is edited a colon is a colon.
        Binding("colon", "command_palette", "palette", id="palette", show=False),
        Binding("question_mark,f1", "keys", "keys", id="keys", key_display="?"),
        Binding("escape,backspace", "step_out", "back", id="back", show=False),
        Binding("S", "start", "start a run", id="run.start", show=False),
        Binding("P", "pause", "pause or go on", id="run.pause", show=False),
        Binding("X", "stop", "stop with a checkpoint", id="run.stop", show=False),
        Binding("T", "try_rates", "try learning rates", id="run.try-rates", show=False),
        Binding("C", "checkpoint", "keep a checkpoint now", id="run.checkpoint", show=False),
    ]

    def __init__(
        self,
        workspace: Workspace,
        *,
        ascii_only: bool = False,
        attach: str | None = None,
        driver_class: type[Driver] | None = None,
        on_print: Callable[[str], None] | None = None,
        line_is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(workspace, ascii_only=ascii_only, driver_class=driver_class)
        self.set_class(ascii_only, "-ascii")
        ScrollBar.renderer = WholeCells if ascii_only else ScrollBarRender
        self._attach_to = attach
        self._on_print, self._line_is_gone = on_print, line_is_gone
        self.line_was_lost = False
        self.defect: Exception | None = None

    def on_mount(self) -> None:
        """Themes, and the timer."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.set_interval(1 / POLLS_PER_SECOND, self._carry_news)
        # Of what was drawn nothing is left after a suspension.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        if self._attach_to is not None:
            self.open_session(self._attach_to, "training")

    def leave_screen(self) -> None:
        """The line dropped: leave the screen; a run goes on."""
        self.line_was_lost = True
        self.exit(0)

    def stop_and_leave(self) -> None:
        """Stop a run with a checkpoint, and leave."""
        if self.workspace.running is not None:
            self.workspace.running.stop()
        self.exit(STOPPED)

    def _carry_news(self) -> None:
        if self.return_value is not None or self.defect is not None:
            return  # the console is being left; whoever called it tells how the run ends
        if self._line_is_gone():
            self.leave_screen()
            return
        was_running = self.workspace.running
        error = None
        changed = self.workspace.poll()
        if was_running is not None and self.workspace.running is None:
            error = was_running.error
        if changed:
            self.news.publish(None)
        if error and was_running is not None:
            self.say(error)
            if was_running is self.workspace.shown and was_running.view.state in (
                "running",
                "paused",
            ):
                self.open_session(was_running.name, "training")  # it never began here

    def action_step_out(self) -> None:
        """Out of one layer: the screen's own first, then home."""
        step = getattr(self.screen, "step_out", None)
        if callable(step) and step():
            return
        if self.current_mode != self.DEFAULT_MODE:
            self.switch_mode(self.DEFAULT_MODE)

    def action_keys(self) -> None:
        """The keys of this screen."""
        keys = keys_shown(self, self.screen.active_bindings.values())
        self.push_screen(KeysHelp(f"Keys of {self.current_mode}", keys))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers beside the sessions; Textual's own make no sense here."""
        return console_commands(self)

    def action_leave(self) -> None:
        """Quit at once where nothing runs; ask otherwise."""
        if isinstance(self.screen, Question):
            self.screen.dismiss(None)
            return
        running = self.workspace.running
        if running is None or running.view.is_over:
            self.exit(0)
            return
        self.push_screen(quit_question(running.name, running.view), self._on_leave)

    def _on_leave(self, answer: str | None) -> None:
        running = self.workspace.running
        if answer not in ("s", "a"):
            return
        if running is not None:
            running.ask(Request.STOP if answer == "s" else Request.ABANDON)
        self.exit(STOPPED if answer == "a" else 0)

    def _handle_exception(self, error: Exception) -> None:
        """A bug in cxr-tui ends the console, and first the run, with a checkpoint.

        Textual would print the traceback with all locals; here the caller tells of it.
        """
        if self.defect is None:
            cause = error.error if isinstance(error, WorkerFailed) else error
            self.defect = cause if isinstance(cause, Exception) else error
        if self.workspace.running is not None:
            self.workspace.running.stop()
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if self._exit_renderables and self.defect is None:  # Textual's input thread has failed
            self.defect = RuntimeError("the terminal can't be read any more")
        super()._print_error_renderables()

    def _print(self, text: str, stderr: bool = False) -> None:
        if self._on_print is None:
            super()._print(text, stderr=stderr)
        else:
            self._on_print(text)
