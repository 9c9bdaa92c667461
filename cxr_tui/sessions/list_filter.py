"""The field that filters the list of sessions."""

from __future__ import annotations

from cxr_tui.console.line_input import LineInput


class ListFilter(LineInput):
    """Hidden until it is opened, and disabled: a field out of sight must not take the focus."""

    def __init__(self) -> None:
        placeholder = "parts of a name, a state, a tag"
        super().__init__(placeholder=placeholder, id="filter", classes="hidden", disabled=True)

    @property
    def is_open(self) -> bool:
        """Whether it is in sight."""
        return not self.has_class("hidden")

    def open(self) -> None:
        """Show it, ready to be typed into."""
        self.remove_class("hidden")
        self.disabled = False
        self.focus()

    def close(self) -> None:
        """Empty and hide it."""
        self.value = ""
        self.add_class("hidden")
        self.disabled = True
