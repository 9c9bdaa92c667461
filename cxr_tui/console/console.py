"""What a screen may ask of the app: show a message, show a session, run one.

The app itself is a layer above the screens and this one below, so that neither imports the other.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import Binding
from textual.driver import Driver
from textual.signal import Signal

from core.errors import CxrError
from core.requests import Request
from core.words import number_of
from cxr_tui.console.queue_work import QueueWork
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import broken_at_slashes, visible

if TYPE_CHECKING:
    from core.recipe import Recipe
    from cxr_tui.runs.open_session import OpenSession

_LOOK_SECONDS = 60.0
_MOST_SAID = 200
_BESIDE_A_MESSAGE = 4
_OF_A_RUN = ("pause", "stop", "checkpoint", "try_rates")
"""Actions that send a request to the session shown."""

_OF_A_SESSION = ("training", "results", "cams")
"""Screens that show nothing without a session."""

_BETWEEN_STEPS = ("checkpoint", "try_rates")
"""Those that a paused run can't do."""


class Console(App[int]):
    """The console as its screens see it.

    Attributes:
        workspace: the console's state.
        ascii_only: whether the terminal can only show ASCII.
        list_order: the order of the list of sessions, as it is remembered.
        news: published when the state shown has changed; the top screen then redraws.
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
        self.list_order = ""
        self.said: deque[str] = deque(maxlen=_MOST_SAID)
        self.news: Signal[None] = Signal(self, "news")
        self.queue_work = QueueWork(self)

    def say(self, text: str) -> None:
        """Show a message over the screen, as plain text; from any thread."""
        said = visible(text)
        self.said.append(f"{time.strftime('%H:%M:%S')}  {said}")
        width = max(1, self.size.width - _BESIDE_A_MESSAGE)
        self.notify(broken_at_slashes(said, width), markup=False, timeout=8)

    def action_messages(self) -> None:
        """Show what was said so far, the newest first."""
        from cxr_tui.console.dialogs import Notes  # not before the first paint

        lines = list(reversed(self.said)) or ["Nothing was said yet."]
        self.push_screen(Notes("Messages", lines))

    def action_copy(self) -> None:
        """Put the path or row at hand into the terminal's clipboard (OSC 52)."""
        at_hand = getattr(self.screen, "at_hand", None)
        text = at_hand() if callable(at_hand) else ""
        if not text:
            self.say("There is nothing to copy here.")
            return
        self.copy_to_clipboard(text)
        self.say(f"copied, where the terminal allows it (OSC 52): {text}")

    def show_outside(self, sequence: str) -> None:
        """Write to the bare terminal, and return with Enter; nothing is read from the terminal."""
        driver = self._driver
        terminal = getattr(driver, "_file", None)
        if driver is None or terminal is None or not driver.can_suspend:
            self.say("this terminal can't show graphics")
            return
        with self.suspend():
            terminal.write(f"{sequence}\r\nEnter goes back to cxr-tui (so does a minute)\r\n")
            terminal.flush()
            # With a time limit: no signal is handled while it waits.
            if select.select([0], [], [], _LOOK_SECONDS)[0]:
                with contextlib.suppress(OSError):
                    os.read(0, 1024)

    def action_mode(self, mode: str) -> None:
        """Go to a screen by its digit; if it needs a session and none is shown, show the one under
        the cursor."""
        from cxr_tui.console.dialogs import KeysHelp, Question  # not before the first paint

        if mode not in self.MODES or isinstance(self.screen, (Question, KeysHelp)):
            return
        at_cursor = getattr(self.screen, "session_at_cursor", "")
        if at_cursor and mode in _OF_A_SESSION and self.workspace.shown is None:
            self.open_session(at_cursor, mode)
        if mode != self.current_mode:  # where it can't be opened, too
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
            self.news.publish(None)  # the same screen with another session

    def begin(
        self, preset: str, recipe: Recipe, *, base: Recipe | None = None, keeps_data: bool = False
    ) -> None:
        """Take a recipe as the draft, and say where the draft before is kept."""
        try:
            kept = self.workspace.begin(preset, recipe, base=base, keeps_data=keeps_data)
        except CxrError as error:
            self.say(str(error))
            return
        if kept is not None:
            changes = number_of(kept.num_changes, "change")
            lists = key_of("mode.recipe", "recipe.presets")
            self.say(
                f"The draft before, with {changes} of {kept.preset}, is kept: {lists} lists it."
            )
        self.news.publish(None)

    def reuse(self, name: str, recipe: Recipe) -> None:
        """Take a session's recipe as the draft, the cursor on the field that is changed next."""
        self.workspace.key_to_look_at = self.workspace.key_changed_last
        self.begin(name, recipe)
        self.action_mode("recipe")

    def start_run(self, recipe: Recipe) -> None:
        """Start a run on its own thread, and show it."""
        if not self._is_busy():
            self._where_nobody_computes(lambda: self._run(lambda: self.workspace.start(recipe)))

    def resume_run(self, name: str, *, epochs: int | None = None) -> None:
        """Resume a session, to ``epochs`` in total if given."""
        if self._is_busy():
            return
        try:
            is_written = self.workspace.open(name).is_being_written()
        except CxrError as error:
            self.say(str(error))
            return
        if is_written:
            self.say(f"another process runs {name}; it is shown here")
            self.open_session(name, "training")
            return
        self._where_nobody_computes(
            lambda: self._run(lambda: self.workspace.resume(name, epochs=epochs))
        )

    def _is_busy(self) -> bool:
        """Whether our run is active; says so if it is."""
        running = self.workspace.running
        if running is not None:
            self.say(
                f"{running.name} is running: stop it first ({key_of('run.stop')} on its screen)"
            )
        return running is not None

    def _run(self, begin: Callable[[], OpenSession]) -> None:
        try:
            begin()
        except CxrError as error:
            self.say(str(error))
            return
        self.switch_mode("training")

    def _where_nobody_computes(self, start: Callable[[], None]) -> None:
        """Start; ask first where another process computes on the same device."""
        from cxr_tui.console.dialogs import Question
        from cxr_tui.runs.device_use import runs_beside

        others = runs_beside(self.workspace.sessions, self.workspace.device)
        if not others:
            start()
            return
        question = Question(
            "The device is taken",
            f"Another process trains {', '.join(others)}. Both would be slower, and may run out of "
            "memory.",
            [("y", "start all the same")],
        )
        self.push_screen(question, lambda answer: start() if answer == "y" else None)

    def action_start(self) -> None:
        """Start the current recipe, or offer the queue while a run is on.

        It asks first if a screen has found that the recipe can't run.
        """
        if self.workspace.running is not None:
            self.queue_work.offer(self.workspace.draft)
            return
        problem = self.workspace.problem
        if not problem:
            self.start_run(self.workspace.draft)
            return
        from cxr_tui.console.dialogs import Question  # not before the first paint

        question = Question("This run would be refused", problem, [("y", "start it anyway")])
        self.push_screen(
            question, lambda yes: self.start_run(self.workspace.draft) if yes == "y" else None
        )

    def words_of(self, binding: Binding) -> str:
        """What a binding does now; '' if it doesn't apply."""
        if (own := getattr(self.screen, "own_words_of", None)) is not None:
            return str(own(binding))
        action = binding.action.removeprefix("app.")
        if action in ("resume_shown", "reuse_shown"):
            shown = self.workspace.shown
            if shown is None or shown.is_on:
                return ""
            is_done = action == "resume_shown" and shown.view.state == "finished"
            return "" if is_done else binding.description
        if action == "start" and self.workspace.running is not None:
            return "queue"
        if action not in _OF_A_RUN:
            return binding.description
        shown = self.workspace.shown
        if shown is None or not shown.is_on:
            return ""
        is_paused = shown.view.state == "paused"
        if action == "pause":
            return "continue" if is_paused else "pause"
        return "" if is_paused and action in _BETWEEN_STEPS else binding.description

    def action_resume_shown(self) -> None:
        """Resume the session shown, where it has not finished."""
        shown = self.workspace.shown
        if shown is None:
            self.say(_none_is_shown())
        elif shown.is_on:
            self.say(f"{shown.name} is running.")
        elif shown.view.state == "finished":
            adds = key_of("mode.sessions", "sessions.resume")
            self.say(f"{shown.name} is finished: {adds} adds epochs.")
        else:
            self.resume_run(str(shown.session.path))

    def action_reuse_shown(self) -> None:
        """Use the recipe of the session shown as the draft."""
        shown = self.workspace.shown
        if shown is None:
            self.say(_none_is_shown())
            return
        self.reuse(shown.name, shown.recipe)

    def action_pause(self) -> None:
        """Pause the session shown, or continue it."""
        shown = self._shown_and_on()
        if shown is None:
            return
        paused = shown.view.state == "paused"
        request = Request.CONTINUE if paused else Request.PAUSE
        what = "Continue" if paused else "Pause"
        self._ask_of_shown(request, f"{what} {shown.name}?")

    def action_checkpoint(self) -> None:
        """Write a checkpoint of the session shown before its next step."""
        shown = self._shown_and_on()
        if shown is None:
            return
        if shown.view.state == "paused":
            self.say("It is paused, and the checkpoint of the pause covers every step.")
            return
        self._ask_of_shown(Request.CHECKPOINT, f"Write a checkpoint of {shown.name}?")

    def action_try_rates(self) -> None:
        """Run a range test of learning rates on a copy of the network, before the next step."""
        shown = self._shown_and_on()
        if shown is None:
            return
        if shown.view.state == "paused":
            pause, tries = key_of("run.pause"), key_of("run.try-rates")
            self.say(f"It is paused: continue with {pause}, then {tries} tries learning rates.")
            return
        self._ask_of_shown(Request.TRY_RATES, f"Try learning rates on a copy of {shown.name}?")

    def action_stop(self) -> None:
        """Stop the session shown, with a checkpoint."""
        shown = self._shown_and_on()
        if shown is not None:
            self._ask_of_shown(Request.STOP, f"Stop {shown.name}?", always_ask=True)

    def _shown_and_on(self) -> OpenSession | None:
        """The session shown, if it can take requests; otherwise say why not."""
        shown = self.workspace.shown
        if shown is None:
            self.say(_none_is_shown())
        elif not shown.session.path.is_dir():
            lists = key_of("mode.sessions")
            self.say(f"{shown.name} can't be asked: its directory is gone. {lists} lists sessions.")
        elif shown.view.state == "finished":
            self.say(f"{shown.name} is finished: there is nothing to request.")
        elif not shown.is_on or not (shown.is_ours or shown.session.is_being_written()):
            resumes = key_of("mode.training", "training.resume")
            self.say(f"{shown.name} isn't running: {resumes} resumes it.")
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
        from cxr_tui.console.dialogs import Question  # not before the first paint

        text = "It stops after this step, with a checkpoint, and can be resumed."
        if shown.view.step == 0:
            text = "It stops before its first step, and can be started again."
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
            self.say(
                "A copy tries learning rates for 60 steps while the run waits; then "
                f"{key_of('training.health')} shows the result."
            )
        if request is Request.STOP and self.workspace.shown is not None:
            self.workspace.shown.view.is_stopping = True
            self.news.publish(None)

    def _ask(self, request: Request) -> bool:
        try:
            self.workspace.ask(request)
        except OSError as error:  # its folder is gone, or not writable
            self.say(f"The run can't be asked: {error.filename}: {error.strerror}.")
            return False
        return True


def _none_is_shown() -> str:
    return f"No session is shown: {key_of('mode.sessions')} lists the sessions."
