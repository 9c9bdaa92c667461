"""The console: modes, global keys, themes, and the timer that updates the screen."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.widgets._toast import ToastRack
from textual.worker import WorkerFailed

from core.requests import Request
from cxr_tui.app.modes import MODES
from cxr_tui.app.palette import SessionCommands, console_commands
from cxr_tui.console.console import Console
from cxr_tui.console.preferences import Preferences, read_preferences, write_preferences
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.themes import THEMES
from cxr_tui.console.top_line import SCREENS
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.ascii_lines import AsciiLines
from cxr_tui.terminal.key_names import take_keys
from cxr_tui.terminal.title import title_sequence
from cxr_tui.widgets.whole_cells import WholeCells

if TYPE_CHECKING:
    from cxr_tui.runs.open_session import OpenSession

POLLS_PER_SECOND = 4
STOPPED = 75
_WRITTEN = {"enter": "enter", "escape": "esc", "full_stop": ".", "comma": ","}
"""Keys in the words that dialogs use too."""
_ASCII_LINES = AsciiLines()
_KEYS_IN_WORDS = {
    "←": "left",
    "→": "right",
    "↑": "up",
    "↓": "down",
    "⌫": "backspace",
    "⏎": "enter",
    "⌦": "delete",
    "␣": "space",
}


class ConsoleApp(Console):
    """cxr-tui's console. The workspace owns its state; widgets only display it."""

    TITLE = "cxr-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = App.COMMANDS | {SessionCommands}
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = dict(MODES)
    DEFAULT_MODE = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(digit), f"mode('{mode}')", title, id=f"mode.{mode}", show=False)
            for digit, (mode, title) in enumerate(SCREENS, start=1)
        ),
        Binding("q", "leave", "quit", id="quit", show=True),
        Binding("ctrl+c,ctrl+q", "leave", "quit", id="quit.ctrl", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", id="suspend", show=False, priority=True),
        # Not a priority binding: while a field is edited, a colon is text.
        Binding("colon", "command_palette", "palette", id="palette", show=False),
        Binding("question_mark,f1", "keys", "keys", id="keys", key_display="?"),
        Binding("y", "copy", "copy", id="copy", show=False),
        Binding("H", "messages", "messages", id="messages", show=False),
        Binding("escape,backspace", "step_out", "back", id="back", show=False),
        Binding("S", "start", "start a run", id="run.start", show=False),
        Binding("P", "pause", "pause or continue", id="run.pause", show=False),
        Binding("X", "stop", "stop with a checkpoint", id="run.stop", show=False),
        Binding("T", "try_rates", "try learning rates", id="run.try-rates", show=False),
        Binding("C", "checkpoint", "write a checkpoint now", id="run.checkpoint", show=False),
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
        preferences: Path | None = None,
        theme_name: str | None = None,
    ) -> None:
        super().__init__(workspace, ascii_only=ascii_only, driver_class=driver_class)
        self.set_class(ascii_only, "-ascii")
        ScrollBar.renderer = WholeCells if ascii_only else ScrollBarRender
        self._attach_to = attach
        self._preferences = preferences
        self._left = Preferences() if preferences is None else read_preferences(preferences)
        for theme in THEMES:
            self.register_theme(theme)
        known = {theme.name for theme in THEMES}
        # Before the style sheets are parsed: another theme parses all of them anew.
        wanted = theme_name or self._left.theme  # the one in config.toml, else the one left last
        self.theme = wanted if wanted in known else THEMES[0].name
        self.list_order = self._left.order
        take_keys({})
        self._on_print, self._line_is_gone = on_print, line_is_gone
        workspace.tell = self._say_if_open
        self.line_was_lost = False
        self.leaves_running = False
        """Whether the run is to go on without a screen."""
        self.defect: Exception | None = None

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, and ASCII alone where nothing else is wanted."""
        filters = super().get_line_filters()
        return [*filters, _ASCII_LINES] if self.ascii_only else filters

    def on_mount(self) -> None:
        """Return to the screen that was left last, and start the timer."""
        self._restore_screen()
        self.call_after_refresh(gc.enable)  # not before the first paint
        self.set_interval(1 / POLLS_PER_SECOND, self._carry_news)
        # After a suspension the whole screen must be drawn again.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        if self._attach_to is not None:
            self.open_session(self._attach_to, "training")

    def _restore_screen(self) -> None:
        """Show the screen that was left last, unless a session is named."""
        left = self._left
        if self._attach_to is not None or left.screen not in self.MODES:
            return
        here = self.workspace.sessions.absolute()
        is_here = bool(left.session) and Path(left.session).absolute().parent == here
        if is_here and (Path(left.session) / "recipe.toml").is_file():
            self.open_session(left.session, left.screen)
        elif left.screen in ("data", "recipe"):
            self.switch_mode(left.screen)

    def on_unmount(self) -> None:
        """Remember theme, screen, session and the order of the list for the next start."""
        if self._preferences is not None:
            shown = self.workspace.shown
            session = "" if shown is None else str(shown.session.path)
            left = Preferences(self.theme, self.current_mode, session, self.list_order)
            write_preferences(self._preferences, left)

    def set_keymap(self, keymap: Mapping[str, str]) -> None:
        """The user's own keys, in bindings and in sentences."""
        super().set_keymap(keymap)
        first = {name: keys.split(",")[0] for name, keys in keymap.items()}
        take_keys({name: self.get_key_display(Binding(key, "")) for name, key in first.items()})

    def get_key_display(self, binding: Binding) -> str:
        """A key as it is written everywhere; in words where the terminal has no sign for it."""
        written = binding.key_display or _WRITTEN.get(binding.key)
        written = written or super().get_key_display(binding)
        if not self.ascii_only or written.isascii():
            return written
        return "".join(_KEYS_IN_WORDS.get(sign, sign) for sign in written)

    def leave_screen(self) -> None:
        """Leave the screen after the line dropped; a run continues."""
        self.line_was_lost = True
        self.exit(0)

    def stop_and_leave(self) -> None:
        """Stop a run with a checkpoint, and leave."""
        if self.workspace.running is not None:
            self.workspace.running.source.ask(Request.STOP)
        self.exit(STOPPED)

    def _carry_news(self) -> None:
        if self.return_value is not None or self.defect is not None:
            return  # the console is closing; its caller reports how the run ends
        if self._line_is_gone():
            self.leave_screen()
            return
        was_running = self.workspace.running
        error = None
        changed = self.workspace.poll()
        self.queue_work.tick()
        if was_running is not None and self.workspace.running is None:
            error = was_running.source.error
            self._ring(was_running)
        if changed:
            self.news.publish(None)
        if error and was_running is not None:
            self.say(error)
            if was_running is self.workspace.shown and was_running.view.state in (
                "running",
                "paused",
            ):
                self.open_session(was_running.name, "training")  # it never started here

    def _ring(self, ended: OpenSession) -> None:
        """The bell and the terminal's title say that the run has ended."""
        self.bell()
        if self._driver is not None:
            self._driver.write(title_sequence(f"{ended.name} {ended.view.state}"))

    def _say_if_open(self, text: str) -> None:
        """Say it; a console that was left has no place for it, and the session's log has it."""
        if self.is_running:
            self.say(text)

    def clear_notifications(self) -> None:
        """Take the messages off the screen; Textual leaves the lines that they stood in."""
        super().clear_notifications()
        for rack in self.screen.query(ToastRack):
            rack.remove_children()

    def action_step_out(self) -> None:
        """Leave one level: messages first, then the screen's own, then go home."""
        if any(rack.display for rack in self.screen.query(ToastRack)):
            self.clear_notifications()
            return
        step = getattr(self.screen, "step_out", None)
        if callable(step) and step():
            return
        if self.current_mode != self.DEFAULT_MODE:
            self.switch_mode(self.DEFAULT_MODE)

    def action_keys(self) -> None:
        """Show the keys of this screen."""
        from cxr_tui.console.dialogs import KeysHelp  # not before the first paint
        from cxr_tui.console.key_help import keys_shown

        keys = keys_shown(self, self.screen.active_bindings.values())
        terms = self.screen.terms_at_hand() if isinstance(self.screen, ConsoleScreen) else ()
        self.push_screen(KeysHelp(f"Keys of {self.current_mode}", keys, terms))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette's commands besides the sessions; replaces Textual's own."""
        return console_commands(self)

    def action_leave(self) -> None:
        """Quit immediately if nothing runs; otherwise ask."""
        from cxr_tui.app.quitting import quit_question  # not before the first paint
        from cxr_tui.console.dialogs import Question

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
        if answer not in ("d", "s", "a"):
            return
        self.leaves_running = answer == "d"
        if running is not None:
            running.source.is_handed_over = self.leaves_running
            running.source.ask(Request.ABANDON if answer == "a" else Request.STOP)
        self.exit(STOPPED if answer == "a" else 0)

    def _handle_exception(self, error: Exception) -> None:
        """A bug in cxr-tui stops the run with a checkpoint and ends the console.

        Textual would print the traceback with all locals; here the caller reports it.
        """
        if self.defect is None:
            cause = error.error if isinstance(error, WorkerFailed) else error
            self.defect = cause if isinstance(cause, Exception) else error
        if self.workspace.running is not None:
            self.workspace.running.source.ask(Request.STOP)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if self._exit_renderables and self.defect is None:  # Textual's input thread has failed
            self.defect = RuntimeError("the terminal can no longer be read")
        super()._print_error_renderables()

    def _print(self, text: str, stderr: bool = False) -> None:
        if self._on_print is None:
            super()._print(text, stderr=stderr)
        else:
            self._on_print(text)
