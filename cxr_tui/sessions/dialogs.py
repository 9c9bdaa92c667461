"""The dialogs of the Sessions screen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.words import number_of
from cxr_tui.console.dialogs import Question, ValueDialog

if TYPE_CHECKING:
    from core.store.summary import SessionSummary

_MOST_DIGITS = 6
"""Maximum length of a number of epochs."""

_MOST_NAMED = 10
"""Maximum number of sessions that the question names."""


def new_question() -> Question:
    """Ask what to train on."""
    answers = [("enter", "train the demo on the synthetic set"), ("2", "choose a data set")]
    return Question("A new session", "The synthetic set takes minutes.", answers)


def more_epochs_dialog(name: str, done: int) -> ValueDialog:
    """Ask for a finished session's total number of epochs."""

    def fault_of(text: str) -> str:
        typed = text.strip()  # Python refuses to parse thousands of digits
        is_more = typed.isdecimal() and len(typed) <= _MOST_DIGITS and int(typed) > done
        return "" if is_more else f"✗ a whole number above {done:,}"

    return ValueDialog(
        f"{name} is finished, after {number_of(done, 'epoch')}",
        "How many epochs in total? It continues from its last checkpoint, and its test part is "
        "scored again with the best epoch of all.",
        f"{2 * done}",
        fault_of,
    )


def rename_dialog(name: str, taken: Collection[str]) -> ValueDialog:
    """Ask for a session's new name."""
    from core.store.sessions import is_session_name

    def fault_of(text: str) -> str:
        if not is_session_name(text):
            return "✗ letters, digits, dot, dash and underscore; first a letter or digit"
        return f"✗ there is a session {text} already" if text != name and text in taken else ""

    return ValueDialog(f"Rename {name}", "Its folder is renamed too.", name, fault_of)


def tags_dialog(names: Sequence[str], tags: Sequence[str]) -> ValueDialog:
    """Ask for the tags of a session, or for those that several have in common."""
    from core.store.notes import typed_tags

    def fault_of(text: str) -> str:
        try:
            typed_tags(text)
        except UsageError as error:
            return f"✗ {error}"
        return ""

    title = f"Tags of {names[0]}"
    if len(names) > 1:
        title = f"Tags that all {len(names)} marked sessions have"
    return ValueDialog(title, "Words between spaces; / finds them.", " ".join(tags), fault_of)


def note_dialog(name: str, note: str) -> ValueDialog:
    """Ask for a session's note."""
    from core.store.notes import fault_of_note

    def fault_of(text: str) -> str:
        fault = fault_of_note(text)
        return f"✗ {fault}" if fault else ""

    return ValueDialog(f"Note on {name}", "What you want to know later.", note, fault_of)


def search_deletion_question(name: str, own: Sequence[SessionSummary]) -> Question:
    """Ask whether to delete a search with all that it trained."""
    text = f"{number_of(len(own), 'session')}, {_size(own)}, and its study. This can't be undone."
    return Question(f"Delete the search {name}?", text, [("y", "delete all of it permanently")])


def deletion_question(
    going: Sequence[SessionSummary],
    staying: Sequence[str],
    failed: Sequence[SessionSummary] = (),
) -> Question:
    """Ask whether to delete these; those locked by a process stay. Several that ``failed`` are
    offered together.
    """
    size = _size(going)
    lost = "events, checkpoints, predictions and figures. This can't be undone."
    if len(going) == 1:
        title, text = f"Delete {going[0].name}?", f"{size}: its recipe, {lost}"
    else:
        title = f"Delete {len(going)} sessions, {size}?"
        text = "\n".join(["", *_named(going), "", f"Their recipes, {lost}"])
    if staying:
        text += f"\n\nLocked by a process, so these stay: {', '.join(staying)}"
    them = "it" if len(going) == 1 else "them"
    answers = [("y", f"delete {them} permanently")]
    if len(failed) > 1:
        text = "\n".join([text, "", "These failed:", *_named(failed)])
        what = f"delete all {len(failed)} that failed permanently, {_size(failed)}"
        answers.append(("f", what))
    return Question(title, text, answers)


def _size(sessions: Sequence[SessionSummary]) -> str:
    return f"{sum(summary.num_bytes for summary in sessions) / 1e6:,.0f} MB"


def _named(sessions: Sequence[SessionSummary]) -> list[str]:
    """A line for each of the first ten, and how many more there are."""
    named = sessions[:_MOST_NAMED]
    longest = max(len(summary.name) for summary in named)
    lines = [f"{one.name:<{longest}}  {one.state}, {_size([one])}" for one in named]
    more = len(sessions) - len(named)
    return [*lines, f"and {more} more"] if more else lines
