"""Health checks' diagnoses: mark, sentence, evidence, remedy; the most severe first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from core.events import Diagnosed
from cxr_tui.runs.health_text import ARROW, GRAVE, evidence_in_words, sign_of
from cxr_tui.terminal.safe_text import closest_ascii, shortened, visible
from cxr_tui.widgets.lists import SearchedText

_LONGEST = 300
"""Maximum length of a sentence in the panel; the list of all diagnoses has the full text."""


class HealthPanel(SearchedText):
    """The current diagnoses; hidden if there are none."""

    DEFAULT_CSS = """
    HealthPanel { height: auto; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ascii_only = ascii_only
        self._seen: tuple[object, ...] = ()

    def show(self, answers: Sequence[Diagnosed], nothing: str = "") -> None:
        """Show the diagnoses in their order, or ``nothing`` if there are none.

        The layout is updated only on a change.
        """
        seen = (tuple(answers), nothing)
        if seen == self._seen:
            return
        self._seen = seen
        self.display = bool(answers or nothing)
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for answer in answers:
            mark = mark_of(answer, ascii_only=self._ascii_only)
            grid.add_row(mark, _in_short(answer, ascii_only=self._ascii_only))
        if not answers and nothing:
            grid.add_row("." if self._ascii_only else "·", Text(nothing, style="dim"))
        self.update(grid)


def mark_of(answer: Diagnosed, *, ascii_only: bool) -> Text:
    """The mark of a diagnosis' severity."""
    return Text(_sign(sign_of(answer.severity), ascii_only=ascii_only), style=_style(answer))


def in_full(answer: Diagnosed, *, ascii_only: bool) -> Text:
    """The sentence, then lines for the evidence and the remedy."""
    text = Text(visible(answer.text), style=_style(answer))
    return _with_reasons(text, answer, ascii_only=ascii_only)


def _in_short(answer: Diagnosed, *, ascii_only: bool) -> Text:
    """The short form next to a table: for an ok the sentence alone; long texts are cut."""
    text = Text(_cut(answer.text), style=_style(answer))
    if answer.severity == "ok":
        return text
    return _with_reasons(text, answer, ascii_only=ascii_only, cut=True)


def _with_reasons(text: Text, answer: Diagnosed, *, ascii_only: bool, cut: bool = False) -> Text:
    said = _cut if cut else visible
    if evidence := evidence_in_words(answer.evidence):
        text.append(f"\n{said(evidence)}", style="not bold dim")
    if answer.remedy:
        arrow = _sign(ARROW, ascii_only=ascii_only)
        text.append(f"\n{arrow} {said(answer.remedy)}", style="not bold")
    return text


def _cut(text: str) -> str:
    shown = visible(" ".join(text.splitlines()))
    return shortened(shown, _LONGEST)


def _style(answer: Diagnosed) -> str:
    return "bold" if answer.severity in GRAVE else ""


def _sign(sign: str, *, ascii_only: bool) -> str:
    return closest_ascii(sign) if ascii_only else sign
