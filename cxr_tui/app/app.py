"""The console: modes, global keys, themes, and the timer that carries news to the screen."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.worker import WorkerFailed

from core.errors import CxrError
from core.requests import Request
from cxr_tui.app.modes import MODES
from cxr_tui.app.palette import SessionCommands, console_commands
from cxr_tui.app.quitting import quit_question
from cxr_tui.console.dialogs import KeysHelp, Question
from cxr_tui.console.key_help import keys_shown
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.themes import THEMES
from cxr_tui.console.top_line import SCREENS
from cxr_tui.console.workspace import Desk
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.whole_cells import WholeCells

if TYPE_CHECKING:
    from core.recipe import Recipe

POLLS_PER_SECOND = 4
STOPPED = 75
_LOOK_SECONDS = 60.0


class ConsoleApp(App[int]):
    """cxr-tui's console. What it works on is the desk's; the widgets only show it."""

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
        desk: Desk,
        *,
        ascii_only: bool = False,
        attach: str | None = None,
        driver_class: type[Driver] | None = None,
        on_print: Callable[[str], None] | None = None,
        line_is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.desk = desk
        self.ascii_only = ascii_only
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

    def let_go(self) -> None:
        """The line dropped: leave the screen; a run goes on."""
        self.line_was_lost = True
        self.exit(0)

    def stop_and_leave(self) -> None:
        """Stop a run with a checkpoint, and leave."""
        if self.desk.running is not None:
            self.desk.running.stop()
        self.exit(STOPPED)

    def _carry_news(self) -> None:
        if self.return_value is not None or self.defect is not None:
            return  # the console is being left; whoever called it tells how the run ends
        if self._line_is_gone():
            self.let_go()
            return
        was_running = self.desk.running
        error = None
        changed = self.desk.poll()
        if was_running is not None and self.desk.running is None:
            error = was_running.error
        screen = next(reversed(self.screen_stack), None)  # none while the console is left
        if isinstance(screen, ConsoleScreen) and screen.is_mounted:
            if changed:
                screen.refresh_view()
            screen.show_running()
        if error and was_running is not None:
            self.say(error)
            if was_running is self.desk.shown and was_running.view.state in ("running", "paused"):
                self.open_session(was_running.name, "training")  # it never began here

    def say(self, text: str) -> None:
        """A message over the screen, as plain text."""
        self.notify(visible(text), markup=False, timeout=8)

    def show_outside(self, sequence: str) -> None:
        """Write to the bare terminal, and come back with Enter; nothing is asked of it."""
        driver = self._driver
        terminal = getattr(driver, "_file", None)
        if driver is None or terminal is None or not driver.can_suspend:
            self.say("this terminal can't show it")
            return
        with self.suspend():
            terminal.write(f"{sequence}\r\nEnter goes back to cxr-tui (so does a minute)\r\n")
            terminal.flush()
            # Bounded: while it waits no signal is answered.
            if select.select([0], [], [], _LOOK_SECONDS)[0]:
                with contextlib.suppress(OSError):
                    os.read(0, 1024)

    def action_mode(self, mode: str) -> None:
        """Go to a screen by its digit."""
        if mode in self.MODES and not isinstance(self.screen, (Question, KeysHelp)):
            self.switch_mode(mode)

    def open_session(self, name: str, mode: str) -> None:
        """Show a session on a screen."""
        try:
            self.desk.show(name)
        except CxrError as error:
            self.say(str(error))
            return
        mode = mode if mode in self.MODES else "training"
        if mode != self.current_mode:
            self.switch_mode(mode)
        elif isinstance(self.screen, ConsoleScreen):
            self.screen.refresh_view()  # the screen is the same, what it shows is not

    def start_run(self, recipe: Recipe) -> None:
        """Train, on a thread of its own, and show it."""
        if self.desk.running is not None:
            self.say(f"{self.desk.running.name} is running: stop it first (X on its screen)")
            return
        try:
            self.desk.start(recipe)
        except CxrError as error:
            self.say(str(error))
            return
        self.switch_mode("training")

    def resume_run(self, name: str) -> None:
        """Go on with a session."""
        if self.desk.running is not None:
            self.say(f"{self.desk.running.name} is running: stop it first (X on its screen)")
            return
        try:
            if self.desk.open(name).is_being_written():
                self.say(f"{name} is run by another process; it is shown here")
                self.open_session(name, "training")
                return
            self.desk.resume(name)
        except CxrError as error:
            self.say(str(error))
            return
        self.switch_mode("training")

    def action_start(self) -> None:
        """Start the recipe at hand."""
        self.start_run(self.desk.draft)

    def action_pause(self) -> None:
        """Pause the session shown, or go on with it."""
        shown = self.desk.shown
        if shown is None or shown.view.state not in ("running", "paused"):
            return
        paused = shown.view.state == "paused"
        request = Request.CONTINUE if paused else Request.PAUSE
        what = "Go on with" if paused else "Pause"
        self._ask_of_shown(request, f"{what} {shown.name}?")

    def action_checkpoint(self) -> None:
        """Keep a checkpoint of the session shown before its next step."""
        shown = self.desk.shown
        if shown is None or shown.view.state not in ("running", "paused"):
            return
        if shown.view.state == "paused":
            self.say("It waits, and the checkpoint of its pause covers every step.")
            return
        self._ask_of_shown(Request.CHECKPOINT, f"Keep a checkpoint of {shown.name}?")

    def action_try_rates(self) -> None:
        """A range test of learning rates on a copy of the network, before the next step."""
        shown = self.desk.shown
        if shown is None or shown.view.state not in ("running", "paused"):
            return
        if shown.view.state == "paused":
            self.say("It waits: P goes on, and then T tries learning rates.")
            return
        self._ask_of_shown(Request.TRY_RATES, f"Try learning rates on a copy of {shown.name}?")

    def action_stop(self) -> None:
        """Stop the session shown, with a checkpoint."""
        shown = self.desk.shown
        if shown is None or shown.view.state not in ("running", "paused"):
            return
        self._ask_of_shown(Request.STOP, f"Stop {shown.name}?", always_ask=True)

    def _ask_of_shown(self, request: Request, title: str, *, always_ask: bool = False) -> None:
        shown = self.desk.shown
        if shown is None:
            return
        if shown.is_ours and not always_ask:
            self._on_asked(request, "y")
            return
        text = "It stops after this step, with a checkpoint, and can be resumed."
        if not shown.is_ours:
            text = "Another process runs it. " + (text if request is Request.STOP else "")
        self.push_screen(
            Question(title, text.strip(), [("y", "yes")]),
            lambda answer: self._on_asked(request, answer),
        )

    def _on_asked(self, request: Request, answer: str | None) -> None:
        if answer != "y" or not self._ask(request):
            return
        if request is Request.CHECKPOINT:
            self.say("A checkpoint is written before the next step.")
        if request is Request.TRY_RATES:
            self.say("A copy tries rates for 60 steps while the run waits; h has the answer then.")
        if request is Request.STOP and self.desk.shown is not None:
            self.desk.shown.view.is_stopping = True
            if isinstance(self.screen, ConsoleScreen):
                self.screen.refresh_view()

    def _ask(self, request: Request) -> bool:
        try:
            self.desk.ask(request)
        except OSError as error:  # its folder is gone, or not ours to write to
            self.say(f"The run can't be asked: {error.filename}: {error.strerror}.")
            return False
        return True

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
        running = self.desk.running
        if running is None or running.view.is_over:
            self.exit(0)
            return
        self.push_screen(quit_question(running.name, running.view), self._on_leave)

    def _on_leave(self, answer: str | None) -> None:
        running = self.desk.running
        if answer not in ("s", "a"):
            return
        if running is not None:
            running.ask(Request.STOP if answer == "s" else Request.ABANDON)
        self.exit(STOPPED if answer == "a" else 0)

    def _handle_exception(self, error: Exception) -> None:
        """A defect of ours ends the console, and first the run, with a checkpoint.

        Textual would print the traceback with all locals; here the caller tells of it.
        """
        if self.defect is None:
            cause = error.error if isinstance(error, WorkerFailed) else error
            self.defect = cause if isinstance(cause, Exception) else error
        if self.desk.running is not None:
            self.desk.running.stop()
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
