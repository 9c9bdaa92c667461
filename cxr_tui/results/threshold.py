"""Asks for another threshold: a rule for all findings, or a value for one."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.errors import RecipeError
from core.evaluation.part_scores import checked_threshold
from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.console.line_input import LineInput
from cxr_tui.terminal.safe_text import visible

_HELP = """youden             the largest sensitivity + specificity
sensitivity=0.9    with the best specificity
specificity=0.9    with the best sensitivity
                   each chosen on val, for all findings,
                   in the middle of its gap between scores
0.25               this threshold, only for {finding}
(nothing)          the recipe's own: {own}"""


class ThresholdDialog(Dialog[str | float | None]):
    """Returns a rule, a threshold, an empty text for the recipe's own rule, or None for back."""

    CSS = """
    ThresholdDialog > Vertical { width: 66; }
    ThresholdDialog Input { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="threshold.back", show=False)
    ]

    def __init__(self, finding: str, own_rule: str, at_hand: str) -> None:
        super().__init__()
        self._finding, self._own_rule, self._at_hand = finding, own_rule, at_hand

    def compose(self) -> ComposeResult:
        """The choices, the field, and its error."""
        text = _HELP.format(finding=visible(self._finding), own=visible(self._own_rule))
        with Vertical():
            yield Static(Content("Threshold"), classes="title")
            yield Static(Content(text))
            yield LineInput(self._at_hand, placeholder=self._own_rule, id="threshold")
            yield Static(id="fault")
            yield Static(key_words(("enter", "use it"), ("esc", "back")))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show an error while typing."""
        self.query_one("#fault", Static).update(Content(visible(_refusal(event.value))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept it if it is valid."""
        if not _refusal(event.value):
            self.dismiss(checked_threshold(event.value))

    def on_key(self, event: events.Key) -> None:
        """Keys that the field doesn't use reach no screen below."""
        if event.is_printable:
            event.stop()


def _refusal(text: str) -> str:
    try:
        checked_threshold(text)
    except RecipeError as error:
        return f"✗ {error.what}"
    return ""
