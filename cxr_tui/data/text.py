"""Text on the data screen: head, fields, notes, and the text when there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.data.study.audit_report import AuditReport
from core.recipe import PARTS, Recipe
from core.words import number_of, patients_of
from cxr_tui.data.fields import Choice, percent
from cxr_tui.data.notes import Kind, Note, finding_line, lesion_sentence
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import visible

_MARKS: dict[Kind, str] = {"good": "✓", "bad": "✗", "warning": "▲", "note": "·", "plain": "·"}
_ASCII_MARKS: dict[Kind, str] = {"good": "+", "bad": "x", "warning": "!", "note": "-", "plain": "-"}
_STYLES: dict[Kind, str] = {"good": "", "bad": "bold", "warning": "", "note": "", "plain": "dim"}

_URGENT: tuple[Kind, ...] = ("bad", "good", "warning", "note")

_NO_DATA_SET = """   No data set is chosen.

   {open:<11} open a folder with NIH's or another collection's tables, or your own table
   enter       the synthetic set: created once, nothing to download"""

_UNMADE = """   The synthetic set of {patients} at {size_px} px does not exist yet.

   enter       create it now, in {folder}: a minute or two
   {open:<11} open your own folder with NIH's tables"""


def head_text(data_set: DataSet | None, picture: object, doing: str) -> Text:
    """The data set, its table, its size."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if data_set is not None and data_set.is_named:
        text.append(f" {visible(data_set.name)}", style="bold")
    report = getattr(picture, "report", None)
    if report is not None:
        text.append(
            f" · {report['table_version']} · {number_of(report['images'], 'image')} · "
            f"{patients_of(report['patients'])}"
        )
    if doing:
        text.append(f" · {doing}")
    return text


def nothing_text(recipe: Recipe, doing: str, cache: Path) -> Text:
    """What to do next if there is nothing to show."""
    if doing:
        return Text(f"   {doing} …")
    phantom = recipe.dataset.phantom
    if phantom is not None:
        patients = number_of(phantom.patients, "patient")
        return Text(
            _UNMADE.format(
                open=key_of("data.open"), patients=patients, size_px=phantom.size_px, folder=cache
            )
        )
    unnamed = _NO_DATA_SET.format(open=key_of("data.open"))
    return Text("   reading …" if DataSet.of(recipe).is_named else unnamed)


def refusal_text(refusal: str, changes: Sequence[str] = (), *, can_change: bool) -> Text:
    """The error, in words, and the keys that help; ``changes`` of the recipe would mend it."""
    text = Text(f"✗ {visible(refusal)}\n\n")
    for number, change in enumerate(changes):
        key = "" if number else key_of("data.remedy")
        text.append(f"{key:<12}{'    ' if number else 'set '}{visible(change)}\n")
    if can_change:
        text.append(", .  ← →     choose and change a field, such as the split\n")
        text.append("f           choose other findings\n")
    else:
        text.append("enter       read it again\n")
    return text.append("o           open another data set")


def fields_text(
    choices: Sequence[Choice], chosen: int, recipe: Recipe, picture: object, *, width: int
) -> Text:
    """The fields, the chosen one marked, and below them the content of each part."""
    text = Text(no_wrap=True, overflow="ellipsis")
    column = 0
    for position, choice in enumerate(choices):
        shown = f"‹{choice.shown}›" if position == chosen else choice.shown
        long = len(choice.name) + 1 + len(shown)
        if column and column + long > width:
            text.append("\n")
            column = 0
        text.append(f"{choice.name} ", style="dim")
        text.append(shown, style="bold reverse" if position == chosen else "")
        text.append("  ")
        column += long + 2
    text.append("\n")
    subset = recipe.subset
    if subset.finding and subset.prevalence:
        text.append(f"{subset.finding} at {percent(subset.prevalence)}", style="bold")
        if subset.parts != PARTS:
            text.append(f" in {' and '.join(subset.parts)}")
    elif subset.finding:
        text.append(f"images with a known label of {subset.finding}")
    else:
        text.append("all images")
    if subset.max_images:
        text.append(f", at most {subset.max_images:,}")
    report = getattr(picture, "report", None)
    if report is not None:
        sizes = (f"{part} {report['parts'][part]['images']:,}" for part in PARTS)
        text.append(f": {' · '.join(sizes)}")
    return text


def finding_text(report: AuditReport, finding: str) -> Group:
    """The finding under the cursor in full."""
    counts = Text(finding_line(report, finding), no_wrap=True, overflow="ellipsis")
    return Group(counts, Text(lesion_sentence(report, finding)))


def notes_text(
    notes: Sequence[Note], table: Sequence[tuple[str, ...]], *, ascii_only: bool
) -> Table:
    """What needs attention, the table of the parts, then the rest."""
    marks = _ASCII_MARKS if ascii_only else _MARKS
    lines = Table.grid(padding=(0, 1, 0, 0))
    urgent = [note for kind in _URGENT for note in notes if note.kind == kind]
    for note in urgent:
        lines.add_row(marks[note.kind], Text(visible(note.text), style=_STYLES[note.kind]))
    figures = Text(no_wrap=True)
    for label, *cells in table:
        figures.append(f"{label:<11}", style="dim")
        figures.append("".join(f"{cell:>14}" for cell in cells) + "\n", "" if label else "bold")
    lines.add_row("", figures)
    for note in notes:
        if note.kind == "plain":
            lines.add_row(marks["plain"], Text(visible(note.text), style=_STYLES["plain"]))
    return lines
