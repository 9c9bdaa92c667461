"""What a screen may ask of the app: to say something, to show a session, to run one.

The app itself stands above the screens and this below them, so that neither imports the other.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import Binding
from textual.driver import Driver
from textual.signal import Signal

from core.errors import CxrError
from core.requests import Request
from cxr_tui.console.dialogs import KeysHelp, Question
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.recipe import Recipe
    from cxr_tui.runs.open_session import OpenSession

_LOOK_SECONDS = 60.0
_OF_A_RUN = ("pause", "stop", "checkpoint", "try_rates")
"""Actions that ask the session shown for something."""

_BETWEEN_STEPS = ("checkpoint", "try_rates")
"""Those of them that a paused run can't do."""


class Console(App[int]):
    """The console as its screens know it.

    Attributes:
        workspace: what it works on.
        ascii_only: whether the terminal lacks other signs.
        news: published where what is shown has changed; the screen on top draws itself anew.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        ascii_only: bool = False,
        driver_class: type[Driver] | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.workspace = workspace
        self.ascii_only = ascii_only
        self.news: Signal[None] = Signal(self, "news")

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
            self.workspace.show(name)
        except CxrError as error:
            self.say(str(error))
            return
        mode = mode if mode in self.MODES else "training"
        if mode != self.current_mode:
            self.switch_mode(mode)
        else:
            self.news.publish(None)  # the screen is the same, what it shows is not

    def start_run(self, recipe: Recipe) -> None:
        """Train, on a thread of its own, and show it."""
        if self.workspace.running is not None:
            self.say(f"{self.workspace.running.name} is running: stop it first (X on its screen)")
            return
        try:
            self.workspace.start(recipe)
        except CxrError as error:
            self.say(str(error))
            return
        self.switch_mode("training")

    def resume_run(self, name: str, *, epochs: int | None = None) -> None:
        """Go on with a session, to so many epochs in all where they are given."""
        if self.workspace.running is not None:
            self.say(f"{self.workspace.running.name} is running: stop it first (X on its screen)")
            return
        try:
            if self.workspace.open(name).is_being_written():
                self.say(f"{name} is run by another process; it is shown here")
                self.open_session(name, "training")
                return
            self.workspace.resume(name, epochs=epochs)
        except CxrError as error:
            self.say(str(error))
            return
        self.switch_mode("training")

    def action_start(self) -> None:
        """Start the recipe at hand; ask first where a screen has found that it can't run."""
        problem = "" if self.workspace.running is not None else self.workspace.problem
        if not problem:
            self.start_run(self.workspace.draft)
            return
        question = Question("This run would be refused", problem, [("y", "start it all the same")])
        self.push_screen(
            question, lambda yes: self.start_run(self.workspace.draft) if yes == "y" else None
        )

    def words_of(self, binding: Binding) -> str:
        """What its key does at the moment; empty where it can do nothing."""
        action = binding.action.removeprefix("app.")
        if action not in _OF_A_RUN:
            return binding.description
        shown = self.workspace.shown
        if shown is None or not shown.is_on:
            return ""
        is_paused = shown.view.state == "paused"
        if action == "pause":
            return "go on" if is_paused else "pause"
        return "" if is_paused and action in _BETWEEN_STEPS else binding.description

    def action_pause(self) -> None:
        """Pause the session shown, or go on with it."""
        shown = self._shown_and_on()
        if shown is None:
            return
        paused = shown.view.state == "paused"
        request = Request.CONTINUE if paused else Request.PAUSE
        what = "Go on with" if paused else "Pause"
        self._ask_of_shown(request, f"{what} {shown.name}?")

    def action_checkpoint(self) -> None:
        """Keep a checkpoint of the session shown before its next step."""
        shown = self._shown_and_on()
        if shown is None:
            return
        if shown.view.state == "paused":
            self.say("It waits, and the checkpoint of its pause covers every step.")
            return
        self._ask_of_shown(Request.CHECKPOINT, f"Keep a checkpoint of {shown.name}?")

    def action_try_rates(self) -> None:
        """A range test of learning rates on a copy of the network, before the next step."""
        shown = self._shown_and_on()
        if shown is None:
            return
        if shown.view.state == "paused":
            self.say("It waits: P goes on, and then T tries learning rates.")
            return
        self._ask_of_shown(Request.TRY_RATES, f"Try learning rates on a copy of {shown.name}?")

    def action_stop(self) -> None:
        """Stop the session shown, with a checkpoint."""
        shown = self._shown_and_on()
        if shown is not None:
            self._ask_of_shown(Request.STOP, f"Stop {shown.name}?", always_ask=True)

    def _shown_and_on(self) -> OpenSession | None:
        """The session shown, where it can be asked for something; else it is said why not."""
        shown = self.workspace.shown
        if shown is None:
            self.say("No session is shown: 1 leads to them.")
        elif not shown.session.path.is_dir():
            self.say(f"{shown.name} can't be asked: its directory is gone. 1 shows the sessions.")
        elif shown.view.state == "finished":
            self.say(f"{shown.name} is finished: there is nothing to ask it for.")
        elif not shown.is_on or not (shown.is_ours or shown.session.is_being_written()):
            self.say(f"{shown.name} isn't running: 1, r goes on with it.")
        else:
            return shown
        return None

    def _ask_of_shown(self, request: Request, title: str, *, always_ask: bool = False) -> None:
        shown = self.workspace.shown
        if shown is None:
            return
        if shown.is_ours and not always_ask:
            self._on_asked(request, "y")
            return
        text = "It stops after this step, with a checkpoint, and can be resumed."
        if shown.view.step == 0:
            text = "It stops before its first step, and can be begun again."
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
        if request is Request.STOP and self.workspace.shown is not None:
            self.workspace.shown.view.is_stopping = True
            self.news.publish(None)

    def _ask(self, request: Request) -> bool:
        try:
            self.workspace.ask(request)
        except OSError as error:  # its folder is gone, or not ours to write to
            self.say(f"The run can't be asked: {error.filename}: {error.strerror}.")
            return False
        return True
