"""Asks for another threshold: a rule for all findings, or a value for one."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.errors import RecipeError
from core.evaluation.part_scores import checked_threshold
from cxr_tui.console.line_input import LineInput
from cxr_tui.terminal.safe_text import visible

_HELP = """youden             the largest sensitivity + specificity
sensitivity=0.9    the best specificity that goes with it
specificity=0.9    the best sensitivity that goes with it
                   each chosen on val, for all findings,
                   in the middle of its gap between scores
0.25               this threshold, for {finding} alone
(nothing)          the recipe's own: {own}"""


class ThresholdDialog(ModalScreen[str | float | None]):
    """Answers a rule, a threshold, an empty text for the recipe's own rule, or None for back."""

    CSS = """
    ThresholdDialog { align: center middle; }
    ThresholdDialog > Vertical {
        width: 66; max-width: 95%; height: auto; max-height: 95%; padding: 0 2;
        border: round $primary; background: $surface;
    }
    ThresholdDialog .title { text-style: bold; }
    ThresholdDialog #refused { height: auto; min-height: 1; color: $error; }
    ThresholdDialog Input { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="threshold.back", show=False)
    ]

    def __init__(self, finding: str, own_rule: str, at_hand: str) -> None:
        super().__init__()
        self._finding, self._own_rule, self._at_hand = finding, own_rule, at_hand

    def compose(self) -> ComposeResult:
        """What can be written, the field, what is wrong with it."""
        text = _HELP.format(finding=visible(self._finding), own=visible(self._own_rule))
        with Vertical():
            yield Static(Content("Threshold"), classes="title")
            yield Static(Content(text))
            yield LineInput(self._at_hand, placeholder=self._own_rule, id="threshold")
            yield Static(id="refused")
            yield Static(Content("enter use it   esc back"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        self.query_one("#refused", Static).update(Content(visible(_refusal(event.value))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it where it is right."""
        if not _refusal(event.value):
            self.dismiss(checked_threshold(event.value))

    def on_key(self, event: events.Key) -> None:
        """What the field doesn't use reaches no screen below."""
        if event.is_printable:
            event.stop()

    def action_leave(self) -> None:
        """Leave the threshold as it is."""
        self.dismiss(None)


def _refusal(text: str) -> str:
    try:
        checked_threshold(text)
    except RecipeError as error:
        return f"✗ {error.what}"
    return ""
