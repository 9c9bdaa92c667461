"""A question for a file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from cxr_tui.console.line_input import LineInput
from cxr_tui.terminal.safe_text import visible


class FileName(ModalScreen[Path | None]):
    """A file's name, with the place that it stands for; Escape answers None.

    ``attempt`` answers why that file won't do, or ''; the dialog stays until one does.
    """

    CSS = """
    FileName { align: center middle; }
    FileName > Vertical {
        width: 76; max-width: 95%; height: auto; padding: 1 2;
        border: round $primary; background: $surface;
    }
    FileName .title { text-style: bold; }
    FileName #place { color: $text-muted; height: auto; }
    FileName #fault { color: $text-error; height: auto; min-height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="file-name.back", show=False)
    ]

    def __init__(self, title: str, name: str, attempt: Callable[[Path], str]) -> None:
        super().__init__()
        self._title, self._file_name, self._attempt = title, name, attempt

    def compose(self) -> ComposeResult:
        """What is asked, the field, where it is, what is wrong."""
        with Vertical():
            yield Static(Content(visible(self._title)), classes="title")
            yield LineInput(self._file_name)
            yield Static(id="place")
            yield Static(id="fault")
            yield Static(Content("enter takes it, esc goes back"))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Say which file that is."""
        place = _place(message.value)
        shown = "" if place is None else visible(str(place))
        self.query_one("#place", Static).update(Content(shown))
        self.query_one("#fault", Static).update("")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Try, and stay where it can't be."""
        place = _place(message.value)
        fault = "a file needs a name" if place is None else self._attempt(place)
        if place is not None and not fault:
            self.dismiss(place)
        else:
            self.query_one("#fault", Static).update(Content(f"✗ {visible(fault)}"))

    def action_leave(self) -> None:
        """No file."""
        self.dismiss(None)


def _place(typed: str) -> Path | None:
    """The absolute path of what was typed; a recipe's name gets its ending.

    None where that is no file's name, such as half of one: ``/``, ``..``, ``~somebody``.
    """
    text = typed.strip()
    if "\0" in text or text.rpartition("/")[2] in ("", ".", ".."):
        return None
    try:
        os.fsencode(text)
        path = Path(text).expanduser().absolute()
    except (RuntimeError, UnicodeEncodeError):  # ~somebody that nobody knows; half a character
        return None
    return path if path.suffix else path.with_name(f"{path.name}.toml")
