"""What a session says of itself and what a person noted, what finds it, and the list's foot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from core.words import number_of
from cxr_tui.runs.health_text import GRAVE, sign_of
from cxr_tui.sessions.listed import SearchRow
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.store.summary import SessionSummary
    from cxr_tui.sessions.listed import Listed


def warnings_of(summary: Listed) -> list[Text]:
    """How it ended, the gravest answer of its health checks, and a damaged notes.json."""
    lines = []
    if summary.message:
        lines.append(Text(f" ▲ {_one_line(summary.message)}"))
    if summary.health in GRAVE:
        lines.append(Text(f" {sign_of(summary.health)} {_one_line(summary.health_text)}"))
    if not isinstance(summary, SearchRow) and summary.notes_error:
        lines.append(Text(f" ▲ {_one_line(summary.notes_error)}"))
    return lines


def notes_of(summary: Listed) -> list[Text]:
    """Its tags and its note, a line each, as far as there are any; of a search its trials."""
    lines = []
    if isinstance(summary, SearchRow):
        told = summary.in_words
        return [Text(" search  ", style="dim").append(told, style="not dim")] if told else []
    if summary.sealed:
        lines.append(Text(" test  ", style="dim").append("sealed", style="not dim"))
    if summary.tags:
        lines.append(Text(" tags  ", style="dim").append(tags_of(summary), style="not dim"))
    if summary.note:
        lines.append(Text(" note  ", style="dim").append(_one_line(summary.note), style="not dim"))
    return lines


def tags_of(summary: Listed) -> str:
    """The tags beside each other."""
    return visible(" ".join(summary.tags))


def is_found_by(summary: Listed, typed: str) -> bool:
    """Whether every word typed is part of the name, the state or a tag."""
    found_in = " ".join((summary.name, summary.state, *summary.tags)).casefold()
    return all(word in found_in for word in typed.casefold().split())


def foot_of(
    summaries: Sequence[SessionSummary],
    shown: int,
    marked: Sequence[SessionSummary],
    order: str,
    queue: str,
) -> Text:
    """The line below the list: how many sessions, their size, what is marked, order and queue."""
    total = sum(summary.num_bytes for summary in summaries)
    text = f" {number_of(len(summaries), 'session')}, {total / 1e9:.1f} GB"
    if shown != len(summaries):
        text += f"; the filter shows {shown}, esc shows all"
    if marked:
        size = sum(summary.num_bytes for summary in marked)
        text += f"; {len(marked)} marked, {size / 1e9:.1f} GB, esc unmarks"
    text += f"; {order}" if order else ""
    text += f"; queue: {queue}" if queue else ""
    return Text(text, style="dim")


def _one_line(text: str) -> str:
    return visible(" ".join(text.splitlines()))
