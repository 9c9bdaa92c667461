"""Dialogs: questions, a list to choose from, text to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core.glossary import TERMS, Term
from cxr_tui.console.key_words import key_words
from cxr_tui.console.line_input import LineInput
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.lists import ListKeys, Options, SearchedText, TextScroll


class Dialog(ModalScreen[ScreenResultType], Generic[ScreenResultType]):
    """What stands over a screen, which is dimmed: one frame, as large as what is in it.

    A subclass puts one container on it, and binds its keys to leave by.
    """

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > Vertical, Dialog > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
        border-title-style: bold;
    }
    Dialog .title { text-style: bold; }
    Dialog Static, Dialog > * { link-style: none; link-color: $text; }
    Dialog #fault { color: $text-error; height: auto; min-height: 1; }
    """

    frame_words = Content("")
    """What stands on the frame while nothing is looked for."""

    def on_list_keys_searched(self, message: ListKeys.Searched) -> None:
        """What is looked for stands on the frame."""
        frame = self.query("Dialog > Vertical, Dialog > VerticalScroll").first()
        frame.border_subtitle = Content(message.words) if message.words else self.frame_words

    def action_leave(self) -> None:
        """Leave everything as it was."""
        self.dismiss(None)


class Question(Dialog[str | None]):
    """A question, dismissed with the key pressed; Escape gives None."""

    CSS = """
    Question > VerticalScroll { width: auto; max-width: 76; max-height: 90%; padding: 1 2; }
    Question Static { width: auto; max-width: 70; }
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
            answers = [(key, visible(what)) for key, what in (*self._answers, ("esc", "back"))]
            yield Static(key_words(*answers, apart="\n", width=5), classes="answers")

    def on_key(self, event: events.Key) -> None:
        """Dismiss on an answer's key; no other key reaches the screen below."""
        pressed = event.character or event.key
        for key, _ in self._answers:
            if pressed == key or (key == "enter" and event.key == "enter"):
                event.stop()
                self.dismiss(key)
                return

    def action_answer(self, answer: str) -> None:
        """Dismiss with an answer."""
        self.dismiss(answer or None)


class ChoiceList(Dialog[str | None]):
    """A list to choose from, dismissed with the chosen value; Escape gives None."""

    CSS = """
    ChoiceList OptionList {
        height: auto; max-height: 18; border: none; padding: 0; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q", "leave", "back", id="choices.back", show=False)
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], chosen: str) -> None:
        """``choices``: pairs of a value and its line."""
        super().__init__()
        self._title, self._choices, self._chosen = title, tuple(choices), chosen

    def compose(self) -> ComposeResult:
        """One line per choice, the current one marked."""
        options = Options(
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
            yield Static(key_words(("enter", "select"), ("esc", "back")))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Dismiss with the choice on Enter or a click."""
        self.dismiss(self._choices[message.option_index][0])


class ValueDialog(Dialog[str | None]):
    """One value, checked while it is typed. Escape gives None."""

    CSS = """
    ValueDialog > Vertical { width: 66; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="value.back", show=False)
    ]

    def __init__(self, title: str, hint: str, value: str, fault_of: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._hint, self._value, self._fault_of = title, hint, value, fault_of

    def compose(self) -> ComposeResult:
        """The title, the field and the error message."""
        with Vertical():
            yield Static(Content(visible(self._title)), classes="title")
            yield Static(Content(visible(self._hint)))
            yield LineInput(self._value, id="value")
            yield Static(id="fault")
            yield Static(key_words(("enter", "accept"), ("esc", "back")))

    def on_input_changed(self, message: Input.Changed) -> None:
        """Show the error while typing."""
        self.query_one("#fault", Static).update(Content(visible(self._fault_of(message.value))))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Accept only a valid value."""
        if not self._fault_of(message.value):
            self.dismiss(message.value)


class KeysHelp(Dialog[None]):
    """The keys of the screen below, those of the run and the global ones, and a glossary."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,question_mark,f1,q", "leave", "back", id="help.back", show=False)
    ]

    def __init__(
        self,
        title: str,
        groups: Mapping[str, Sequence[tuple[str, str]]],
        at_hand: Sequence[Term] = (),
    ) -> None:
        """``at_hand``: terms under the cursor; the first of them stands before the keys."""
        super().__init__()
        self._title, self._groups, self._at_hand = title, groups, at_hand

    def compose(self) -> ComposeResult:
        """One line per key, by groups; below them the terms of the figures."""
        keys = [key for lines in self._groups.values() for key, _ in lines]
        width = max((len(key) for key in keys), default=0)
        parts = _under_the_cursor(self._at_hand)
        for group, lines in self._groups.items():
            parts.append((f"\n{group}\n", "bold"))
            parts += [f"{key:<{width}}  {what}\n" for key, what in lines]
        parts.append(("\nglossary\n", "bold"))
        for term in TERMS:
            parts += [(term.name, "bold"), f"\n{_explained(term)}\n"]
        with TextScroll() as frame:  # it has the focus, so ↑ ↓ and the page keys scroll it
            frame.border_title = Content(f"{self._title}, and a glossary")
            self.frame_words = key_words(("/", "search"), ("esc", "back"))
            frame.border_subtitle = self.frame_words
            yield SearchedText(Content.assemble(*parts))


def _under_the_cursor(terms: Sequence[Term]) -> list[str | tuple[str, str]]:
    """The first of these terms; the others are named, for the glossary has them."""
    if not terms:
        return []
    others = ", ".join(term.name for term in terms[1:])
    more = f"also here, and in the glossary below: {others}\n" if others else ""
    return [(f"\nunder the cursor: {terms[0].name}\n", "bold"), _explained(terms[0]), more]


def _explained(term: Term) -> str:
    """Its sentences, its formula and its page, a line each."""
    formula = f"\n  = {term.formula}" if term.formula else ""
    return f"{term.text}{formula}\n  {term.page}\n"


class Notes(Dialog[None]):
    """Sentences to read, each a paragraph of its own."""

    CSS = "Notes > VerticalScroll { width: 90; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter,q", "leave", "back", id="notes.back", show=False)
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title, self._lines = title, tuple(lines)

    def compose(self) -> ComposeResult:
        """The title and the sentences."""
        text = "\n".join(f"· {visible(line)}" for line in self._lines)
        with TextScroll():
            yield SearchedText(
                Content.assemble(f"{self._title}\n\n{text}\n\n", key_words(("esc", "back")))
            )
