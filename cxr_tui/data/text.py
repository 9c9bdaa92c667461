"""The lines of the data screen as text: head, fields, notes, and what stands where all is empty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.data.study.split import PARTS
from core.recipe import Recipe
from core.words import number_of
from cxr_tui.data.fields import Choice, percent
from cxr_tui.data.notes import Kind, Note, Report, finding_line, lesion_sentence
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.terminal.safe_text import visible

_MARKS: dict[Kind, str] = {"good": "✓", "bad": "✗", "warning": "▲", "note": "·", "plain": "·"}
_ASCII_MARKS: dict[Kind, str] = {"good": "+", "bad": "x", "warning": "!", "note": "-", "plain": "-"}
_STYLES: dict[Kind, str] = {"good": "", "bad": "bold", "warning": "", "note": "", "plain": "dim"}

_URGENT: tuple[Kind, ...] = ("bad", "good", "warning", "note")

_NO_DATA_SET = """   No data set is chosen.

   o           open a folder with NIH's tables; its images may come later
   enter       the synthetic set: made once, nothing to download"""

_UNMADE = """   The synthetic set of {patients} at {size_px} px is not made yet.

   enter       make it now, in {folder}: a minute or two
   o           open your own folder with NIH's tables"""


def head_text(data_set: DataSet | None, picture: object, doing: str) -> Text:
    """The data set, its table, its size."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if data_set is not None and data_set.is_named:
        text.append(f" {visible(data_set.name)}", style="bold")
    report = getattr(picture, "report", None)
    if report is not None:
        text.append(
            f" · {report['table_version']} · {number_of(report['images'], 'image')} · "
            f"{number_of(report['patients'], 'patient')}"
        )
    if doing:
        text.append(f" · {doing}")
    return text


def nothing_text(recipe: Recipe, doing: str, cache: Path) -> Text:
    """What to do next where there is nothing to show."""
    if doing:
        return Text(f"   {doing} …")
    phantom = recipe.dataset.phantom
    if phantom is not None:
        patients = number_of(phantom.patients, "patient")
        return Text(_UNMADE.format(patients=patients, size_px=phantom.size_px, folder=cache))
    return Text("   reading …" if DataSet.of(recipe).is_named else _NO_DATA_SET)


def refusal_text(refusal: str, *, can_change: bool) -> Text:
    """What is wrong, in words, and the keys that help."""
    text = Text(f"✗ {visible(refusal)}\n\n")
    if can_change:
        text.append(", .  ← →     choose and change a field, such as the split\n")
        text.append("f           choose other findings\n")
    else:
        text.append("enter       read it again\n")
    return text.append("o           open another data set")


def fields_text(choices: Sequence[Choice], chosen: int, recipe: Recipe, picture: object) -> Text:
    """The fields, the chosen one marked, and under them what each part holds."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for position, choice in enumerate(choices):
        text.append(f"{choice.name} ", style="dim")
        if position == chosen:
            text.append(f"‹{choice.shown}›", style="bold reverse")
        else:
            text.append(choice.shown)
        text.append("  ")
    text.append("\n")
    subset = recipe.subset
    if subset.finding and subset.prevalence:
        text.append(f"{subset.finding} at {percent(subset.prevalence)}", style="bold")
        if subset.parts != PARTS:
            text.append(f" in {' and '.join(subset.parts)}")
    elif subset.finding:
        text.append(f"images whose {subset.finding} is known")
    else:
        text.append("all images")
    if subset.max_images:
        text.append(f", at most {subset.max_images:,}")
    report = getattr(picture, "report", None)
    if report is not None:
        sizes = (f"{part} {report['parts'][part]['images']:,}" for part in PARTS)
        text.append(f": {' · '.join(sizes)}")
    return text


def finding_text(report: Report, finding: str) -> Group:
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
