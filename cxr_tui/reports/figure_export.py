"""A report's figures as files: CSV for programs, Markdown for documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.store.csv_frames import csv_of
from core.store.files import write_whole
from core.store.formula_cells import escape_formula
from cxr_tui.reports.figure_rows import FigureRow, Figures
from cxr_tui.terminal.safe_text import visible


def write_tables(stem: Path, figures: Figures, title: str, notes: Sequence[str]) -> list[Path]:
    """Write the table as ``stem``.csv and ``stem``.md, each completely or not at all.

    Raises:
        OSError: the disk is full or can't be written.
    """
    table, page = stem.with_suffix(".csv"), stem.with_suffix(".md")
    write_whole(table, export_csv(figures))
    write_whole(page, export_markdown(figures, title, notes))
    return [table, page]


def export_csv(figures: Figures) -> bytes:
    """Every column at full precision, undefined ones empty; text can't be a formula."""
    import pandas as pd

    cells = {
        escape_formula(column.key): [_csv_cell(column.value(row)) for row in _all_rows(figures)]
        for column in figures.columns()
    }
    cells["effective"] = [row.figures.effective_positive_patients for row in _all_rows(figures)]
    cells["note"] = [row.note for row in _all_rows(figures)]
    # Programs may read columns by position, whatever their order on the screen.
    cells |= {key: cells.pop(key) for key in ("patients", "effective", "table_alone", "note")}
    return csv_of(pd.DataFrame(cells, dtype=object))


def export_markdown(figures: Figures, title: str, notes: Sequence[str]) -> bytes:
    """A table for documents, with the notes needed to read it."""
    columns = figures.columns()
    lines = [f"# {_markdown(title)}", ""]
    lines.append("| " + " | ".join(_markdown(column.head) for column in columns) + " |")
    lines.append("|---|" + "---:|" * (len(columns) - 1))
    lines += [
        "| " + " | ".join(map(_markdown, figures.cells(row, columns))) + " |"
        for row in _all_rows(figures)
    ]
    lines += ["", *(f"- {_markdown(note)}" for note in notes), ""]
    return "\n".join(lines).encode()


def _all_rows(figures: Figures) -> list[FigureRow]:
    return [*figures.findings, *figures.summaries]


def _csv_cell(value: object) -> object:
    return f"{value[0]} to {value[1]}" if isinstance(value, tuple) else value


def _markdown(text: str) -> str:
    return visible(text).replace("\n", " ").replace("\\", "\\\\").replace("|", "\\|")
