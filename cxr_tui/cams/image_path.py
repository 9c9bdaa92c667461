"""A dialog for the path of any image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.store.files import is_file, is_folder
from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.console.path_input import PathInput
from cxr_tui.terminal.safe_text import visible


class ImagePath(Dialog[Path | None]):
    """An image's path, which Tab completes; Escape answers None."""

    CSS = """
    ImagePath > Vertical { padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="image-path.back", show=False)
    ]

    def compose(self) -> ComposeResult:
        """The question, the field, the error."""
        with Vertical():
            yield Static(Content("Open an image"), classes="title")
            yield Static(Content("PNG, JPEG, TIFF or DICOM; it needs no label"))
            yield PathInput("", id="path")
            yield Static(id="fault")
            yield Static(key_words(("enter", "open"), ("tab", "complete"), ("esc", "back")))

    def on_input_changed(self, _message: Input.Changed) -> None:
        """The error was of another path."""
        self.query_one("#fault", Static).update("")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Take a file that is there; stay otherwise."""
        path = _path(message.value)
        if path is not None and is_file(path):
            self.dismiss(path)
            return
        fault = (
            "is a folder: name one image" if path and is_folder(path) else "there is no such file"
        )
        self.query_one("#fault", Static).update(Content(f"✗ {visible(fault)}"))


def _path(typed: str) -> Path | None:
    """The absolute path of what was typed; None if it can't be one."""
    text = typed.strip()
    if not text or "\0" in text:
        return None
    try:
        os.fsencode(text)
        return Path(text).expanduser().absolute()
    except (RuntimeError, UnicodeEncodeError):  # an unknown ~user; half a character
        return None
