"""The console: modes, global keys, themes, and the timer that carries news to the screen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from core.errors import CxrError
from core.requests import Request
from cxr_tui.desk import Desk
from cxr_tui.plain import visible
from cxr_tui.screens.base import ConsoleScreen
from cxr_tui.screens.dialogs import KeysHelp, Question
from cxr_tui.screens.sessions import SessionsScreen
from cxr_tui.themes import THEMES
from cxr_tui.widgets.top_line import SCREENS

if TYPE_CHECKING:
    from core.recipe import Recipe

POLLS_PER_SECOND = 4
STOPPED = 75


def _data() -> Screen[Any]:
    from cxr_tui.screens.data import DataScreen

    return DataScreen()


def _recipe() -> Screen[Any]:
    from cxr_tui.screens.recipe import RecipeScreen

    return RecipeScreen()


def _training() -> Screen[Any]:
    from cxr_tui.screens.training import TrainingScreen

    return TrainingScreen()


def _results() -> Screen[Any]:
    from cxr_tui.screens.results import ResultsScreen

    return ResultsScreen()


class ConsoleApp(App[int]):
    """cxr-tui's console. What it works on is the desk's; the widgets only show it."""

    TITLE = "cxr-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "colon"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "sessions": SessionsScreen,
        "data": _data,
        "recipe": _recipe,
        "training": _training,
        "results": _results,
    }
    DEFAULT_MODE = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(digit), f"mode('{mode}')", title, id=f"mode.{mode}", show=False)
            for digit, (mode, title) in enumerate(SCREENS, start=1)
        ),
        Binding("q", "leave", "quit", id="quit", show=True),
        Binding("ctrl+c,ctrl+q", "leave", "quit", id="quit.ctrl", show=False, priority=True),
        Binding("question_mark,f1", "keys", "keys", id="keys", key_display="?"),
        Binding("escape,backspace", "step_out", "back", id="back", show=False),
        Binding("S", "start", "start a run", id="run.start", show=False),
        Binding("P", "pause", "pause or go on", id="run.pause", show=False),
        Binding("X", "stop", "stop with a checkpoint", id="run.stop", show=False),
    ]

    def __init__(self, desk: Desk, *, ascii_only: bool = False, attach: str | None = None) -> None:
        super().__init__()
        self.desk = desk
        self.ascii_only = ascii_only
        self._attach_to = attach
        self.line_was_lost = False

    def on_mount(self) -> None:
        """Themes, and the timer."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.set_interval(1 / POLLS_PER_SECOND, self._carry_news)
        self._mind_signals()
        if self._attach_to is not None:
            self.open_session(self._attach_to, "training")

    def _mind_signals(self) -> None:
        """A lost line lets go of the screen and the run goes on; SIGTERM stops the run first.

        Without handlers either would kill the process, the second with the terminal left raw.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._let_go)
        loop.add_signal_handler(signal.SIGTERM, self._on_terminate)

    def _let_go(self) -> None:
        self.line_was_lost = True
        self.exit(0)

    def _on_terminate(self) -> None:
        if self.desk.running is not None:
            self.desk.running.stop()
        self.exit(STOPPED)

    def _carry_news(self) -> None:
        was_running = self.desk.running
        error = None
        changed = self.desk.poll()
        if was_running is not None and self.desk.running is None:
            error = was_running.error
        if isinstance(self.screen, ConsoleScreen) and self.screen.is_mounted:
            if changed:
                self.screen.refresh_view()
            self.screen.show_running()
        if error:
            self.say(error)

    def say(self, text: str) -> None:
        """A message over the screen, as plain text."""
        self.notify(visible(text), markup=False, timeout=8)

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
        self.switch_mode(mode if mode in self.MODES else "training")

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
            self.desk.ask(request)
            return
        text = "It stops after this step, with a checkpoint, and can be resumed."
        if not shown.is_ours:
            text = "Another process runs it. " + (text if request is Request.STOP else "")
        self.push_screen(
            Question(title, text.strip(), [("y", "yes")]),
            lambda answer: self._on_asked(request, answer),
        )

    def _on_asked(self, request: Request, answer: str | None) -> None:
        if answer != "y":
            return
        self.desk.ask(request)
        if request is Request.STOP and self.desk.shown is not None:
            self.desk.shown.view.stage = "stopping after this step"
            if isinstance(self.screen, ConsoleScreen):
                self.screen.refresh_view()

    def action_step_out(self) -> None:
        """Out of one layer: the screen's own first, then home."""
        step = getattr(self.screen, "step_out", None)
        if callable(step) and step():
            return
        if self.current_mode != self.DEFAULT_MODE:
            self.switch_mode(self.DEFAULT_MODE)

    def action_keys(self) -> None:
        """The keys of this screen."""
        keys = []
        for _, binding, _, _ in self.screen.active_bindings.values():
            if binding.id and not binding.id.startswith("mode."):
                keys.append((self.get_key_display(binding), binding.description))
        keys.append(("1 … 5", "sessions, data, recipe, training, results"))
        self.push_screen(KeysHelp(f"Keys of {self.current_mode}", sorted(set(keys))))

    def action_leave(self) -> None:
        """Quit at once where nothing runs; ask otherwise."""
        if isinstance(self.screen, Question):
            self.screen.dismiss(None)
            return
        running = self.desk.running
        if running is None:
            self.exit(0)
            return
        answers = [("s", "stop it with a checkpoint, then quit")]
        self.push_screen(
            Question(f"{running.name} is running", "Quitting stops it.", answers), self._on_leave
        )

    def _on_leave(self, answer: str | None) -> None:
        if answer == "s" and self.desk.running is not None:
            self.desk.running.stop()
            self.exit(0)


def run_console(
    sessions: Path, cache: Path, device: str, *, ascii_only: bool, attach: str | None
) -> int:
    """The console until it is left; a run that goes on is waited for with a checkpoint."""
    desk = Desk(sessions, cache, device)
    app = ConsoleApp(desk, ascii_only=ascii_only, attach=attach)
    code = app.run() or 0
    if app.line_was_lost:
        _leave_the_terminal()
    running = desk.running
    if running is None or not running.is_ours:
        return code
    if not app.line_was_lost:
        sys.stderr.write(f"{running.name}: stopping after this step, with a checkpoint\n")
    running.wait()
    if not app.line_was_lost:
        sys.stderr.write(f"go on with: cxr-tui --resume {running.session.path}\n")
    return code


def _leave_the_terminal() -> None:
    """What is still written goes nowhere: the terminal is gone, the run is not."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
