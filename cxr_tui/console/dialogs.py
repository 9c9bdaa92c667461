"""What stands over a screen: questions, a list to choose from, text to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cxr_tui.console.line_input import LineInput
from cxr_tui.terminal.safe_text import visible


class Question(ModalScreen[str | None]):
    """Asks, and is dismissed with the key that was pressed; Escape answers None."""

    CSS = """
    Question { align: center middle; }
    Question > VerticalScroll {
        width: auto; max-width: 76; height: auto; max-height: 90%; padding: 1 2;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
    }
    Question Static { width: auto; max-width: 70; }
    Question .title { text-style: bold; }
    Question .answers { margin-top: 1; }
    Question.-narrow > VerticalScroll { width: 100%; max-height: 100%; }
    Question.-narrow Static { width: 1fr; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal")]  # noqa: RUF012 - Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "answer('')", "back", id="dialog.back", show=False)
    ]

    def __init__(self, title: str, text: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._body, self._answers = title, text, tuple(answers)

    def compose(self) -> ComposeResult:
        """The question, then a line for each answer."""
        with VerticalScroll():
            yield Static(Content(visible(self._title)), classes="title")
            if self._body:
                yield Static(Content(visible(self._body)))
            keys = "\n".join(f"{key:<5} {what}" for key, what in (*self._answers, ("esc", "back")))
            yield Static(Content(keys), classes="answers")

    def on_key(self, event: events.Key) -> None:
        """Any answer's key dismisses it; no other key reaches the screen below."""
        pressed = event.character or event.key
        for key, _ in self._answers:
            if pressed == key or (key == "enter" and event.key == "enter"):
                event.stop()
                self.dismiss(key)
                return

    def action_answer(self, answer: str) -> None:
        """Leave the question."""
        self.dismiss(answer or None)


class ChoiceList(ModalScreen[str | None]):
    """A list to choose from; dismissed with the chosen value, Escape answers None."""

    CSS = """
    ChoiceList { align: center middle; }
    ChoiceList > Vertical {
        width: 76; max-width: 95%; height: auto; max-height: 95%; padding: 0 2;
        border: round $primary; background: $surface;
    }
    ChoiceList .title { text-style: bold; }
    ChoiceList OptionList {
        height: auto; max-height: 18; border: none; padding: 0; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q", "leave", "back", id="choices.back", show=False)
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], chosen: str) -> None:
        """``choices``: each a value and the line that stands for it."""
        super().__init__()
        self._title, self._choices, self._chosen = title, tuple(choices), chosen

    def compose(self) -> ComposeResult:
        """A line a choice, the one at hand marked."""
        options = OptionList(
            *(
                Option(Content(f"{'•' if value == self._chosen else ' '} {visible(line)}"))
                for value, line in self._choices
            )
        )
        values = [value for value, _ in self._choices]
        options.highlighted = values.index(self._chosen) if self._chosen in values else 0
        with Vertical():
            yield Static(Content(visible(self._title)), classes="title")
            yield options
            yield Static(Content("enter takes it, esc goes back"))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._choices[message.option_index][0])

    def action_leave(self) -> None:
        """Nothing is chosen."""
        self.dismiss(None)


class ValueDialog(ModalScreen[str | None]):
    """One value; what is wrong with it is said while it is typed. Escape answers None."""

    CSS = """
    ValueDialog { align: center middle; background: $background 60%; }
    ValueDialog > Vertical {
        width: 66; max-width: 95%; height: auto; padding: 1 2;
        border: round $primary; background: $surface;
    }
    ValueDialog .title { text-style: bold; }
    ValueDialog #fault { color: $text-error; height: auto; min-height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="value.back", show=False)
    ]

    def __init__(self, title: str, hint: str, value: str, fault_of: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._hint, self._value, self._fault_of = title, hint, value, fault_of

    def compose(self) -> ComposeResult:
        """What is asked, the field, what is wrong."""
        with Vertical():
            yield Static(Content(visible(self._title)), classes="title")
            yield Static(Content(visible(self._hint)))
            yield LineInput(self._value, id="value")
            yield Static(id="fault")
            yield Static(Content("enter takes it, esc leaves it as it was"))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Say what is wrong while typing."""
        self.query_one("#fault", Static).update(Content(visible(self._fault_of(message.value))))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Only a value that can be taken is taken."""
        if not self._fault_of(message.value):
            self.dismiss(message.value)

    def action_leave(self) -> None:
        """Leave it as it was."""
        self.dismiss(None)


class KeysHelp(ModalScreen[None]):
    """The keys of the screen below, and the global ones."""

    CSS = """
    KeysHelp { align: center middle; }
    KeysHelp > VerticalScroll {
        width: 72; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,question_mark,f1,q", "leave", "back", id="help.back", show=False)
    ]

    def __init__(self, title: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._keys = title, tuple(keys)

    def compose(self) -> ComposeResult:
        """A line a key."""
        width = max((len(key) for key, _ in self._keys), default=0)
        lines = "\n".join(f"{key:<{width}}  {what}" for key, what in self._keys)
        with VerticalScroll():  # it has the focus, and so ↑ ↓ and the pages' keys move it
            yield Static(Content(f"{self._title}\n\n{lines}"))

    def action_leave(self) -> None:
        """Back to the screen."""
        self.dismiss(None)


class Notes(ModalScreen[None]):
    """Sentences to read, each a paragraph of its own."""

    CSS = """
    Notes { align: center middle; }
    Notes > VerticalScroll {
        width: 90; max-width: 100%; height: auto; max-height: 95%; padding: 0 2;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter,q", "leave", "back", id="notes.back", show=False)
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title, self._lines = title, tuple(lines)

    def compose(self) -> ComposeResult:
        """The title, the sentences."""
        text = "\n".join(f"· {visible(line)}" for line in self._lines)
        with VerticalScroll():
            yield Static(Content(f"{self._title}\n\n{text}\n\nesc back"))

    def action_leave(self) -> None:
        """Back to the screen."""
        self.dismiss(None)
