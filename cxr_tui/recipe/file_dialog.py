"""A dialog for a file name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.console.path_input import PathInput
from cxr_tui.terminal.safe_text import visible


class FileName(Dialog[Path | None]):
    """A file's name, with the place that it stands for; Escape answers None.

    ``attempt`` returns why that file can't be used, or ''; the dialog stays until one can.
    """

    CSS = """
    FileName > Vertical { padding: 1 2; }
    FileName #place { color: $text-muted; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="file-name.back", show=False)
    ]

    def __init__(self, title: str, name: str, attempt: Callable[[Path], str]) -> None:
        super().__init__()
        self._title, self._file_name, self._attempt = title, name, attempt

    def compose(self) -> ComposeResult:
        """The question, the field, the path, the error."""
        with Vertical():
            yield Static(Content(visible(self._title)), classes="title")
            yield PathInput(self._file_name, ending=".toml", select_on_focus=True)
            yield Static(id="place")
            yield Static(id="fault")
            yield Static(key_words(("enter", "take it"), ("esc", "back")))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Show the resulting path."""
        place = _place(message.value)
        shown = "" if place is None else visible(str(place))
        self.query_one("#place", Static).update(Content(shown))
        self.query_one("#fault", Static).update("")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Try, and stay if it fails."""
        place = _place(message.value)
        fault = "a file needs a name" if place is None else self._attempt(place)
        if place is not None and not fault:
            self.dismiss(place)
        else:
            self.query_one("#fault", Static).update(Content(f"✗ {visible(fault)}"))


def _place(typed: str) -> Path | None:
    """The absolute path of what was typed; a recipe's name gets its extension.

    None if it is not a file name, or incomplete: ``/``, ``..``, ``~somebody``.
    """
    text = typed.strip()
    if "\0" in text or text.rpartition("/")[2] in ("", ".", ".."):
        return None
    try:
        os.fsencode(text)
        path = Path(text).expanduser().absolute()
    except (RuntimeError, UnicodeEncodeError):  # an unknown ~user; half a character
        return None
    return path if path.suffix else path.with_name(f"{path.name}.toml")
