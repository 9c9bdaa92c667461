"""A report's figures as rows and columns, for the screen and for export; imports no Textual.

A report is read as it is on disk, so a key that is missing is a figure that is undefined.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.evaluation.references import NO_REFERENCE, ReferenceShown, reference_for
from core.store.files import write_whole
from core.store.formula_cells import escape_formula
from cxr_tui.terminal.safe_text import visible

Interval = tuple[float, float]


@dataclass(frozen=True)
class FigureRow:
    """The figures of one finding, or of a summary row; None where undefined."""

    name: str
    positives: int | None = None
    patients: int | None = None
    effective: float | None = None
    prevalence: float | None = None
    auroc: float | None = None
    interval: Interval | None = None
    by_view: Mapping[str, float | None] = field(default_factory=dict)
    auprc: float | None = None
    auprc_interval: Interval | None = None
    auprc_natural: float | None = None
    natural_prevalence: float | None = None
    table_alone: float | None = None
    reference: float | None = None
    is_comparable: bool = True
    note: str = ""

    @property
    def delta(self) -> float | None:
        """Ours less the published figure; None where that was measured on other labels."""
        if self.auroc is None or self.reference is None or not self.is_comparable:
            return None
        return self.auroc - self.reference


@dataclass(frozen=True)
class Column:
    """One column: its head, how a cell reads, and what it is as a number."""

    key: str
    head: str
    width: int
    cell: Callable[[FigureRow], str]
    value: Callable[[FigureRow], object]


@dataclass(frozen=True)
class Figures:
    """All rows of a report beside a published column, or beside none.

    ``bounded_mean`` is over the findings that have an interval, where the mean has none.
    """

    findings: tuple[FigureRow, ...]
    mean: FigureRow
    bounded_mean: FigureRow | None
    table_alone: FigureRow | None
    views: tuple[str, ...]
    reference: ReferenceShown | None

    @property
    def summaries(self) -> list[FigureRow]:
        """The rows under the findings."""
        rows = (self.mean, self.bounded_mean, self.table_alone)
        return [row for row in rows if row is not None]

    @property
    def reference_is_shown(self) -> bool:
        """Whether the published figures may stand beside ours."""
        return self.reference is not None and self.reference.auroc_by_finding is not None

    def columns(self) -> list[Column]:
        """Every column that has something to show, in the order of the table."""
        views = [_view_column(view) for view in self.views]
        published: list[Column] = []
        if self.reference is not None and self.reference_is_shown:
            head = short_reference(self.reference.reference.column)
            published = [
                _number_column("reference", head, lambda row: row.reference),
                Column("delta", "Δ", 6, lambda row: _signed(row.delta), lambda row: row.delta),
            ]
        natural: list[Column] = []
        if any(row.natural_prevalence is not None for row in self.findings):
            natural = [
                _number_column("auprc_natural", "whole AUPRC", lambda row: row.auprc_natural),
                _percent_column("natural", "whole %", lambda row: row.natural_prevalence),
            ]
        return [
            Column("finding", "finding", 7, lambda row: row.name, lambda row: row.name),
            Column("positives", "positives", 9, lambda row: _count(row.positives), _positives),
            _number_column("auroc", "AUROC", lambda row: row.auroc),
            _interval_column("interval", "95 % interval", lambda row: row.interval),
            *views,
            *published,
            _number_column("auprc", "AUPRC", lambda row: row.auprc),
            _interval_column("auprc_interval", "95 % of AUPRC", lambda row: row.auprc_interval),
            _percent_column("prevalence", "prevalence %", lambda row: row.prevalence),
            *natural,
            Column(
                "patients",
                "patients",
                8,
                lambda row: _count(row.patients),
                lambda row: row.patients,
            ),
            # As so many patients with equally many positive images: intervals rest on these.
            Column(
                "effective",
                "effective",
                9,
                lambda row: "" if row.effective is None else f"{row.effective:.0f}",
                lambda row: row.effective,
            ),
            _number_column("table_alone", "table alone", lambda row: row.table_alone),
        ]


def figures_of(report: Mapping[str, Any], reference: str) -> Figures:
    """The rows of a report beside that published column, or ``none``."""
    shown = reference_for(
        reference,
        str(report.get("split_kind")),
        part=str(report.get("split")),
        num_images=int(report.get("images") or 0),
        label_table=report.get("label_table"),
    )
    is_comparable = shown is None or shown.no_difference is None
    published = (shown.auroc_by_finding if shown else None) or {}
    rows = tuple(
        _finding_row(name, figures, published.get(name), is_comparable=is_comparable)
        for name, figures in (report.get("findings") or {}).items()
    )
    views = tuple(dict.fromkeys(view for row in rows for view in row.by_view))
    table = (report.get("table_alone") or {}).get("mean_auroc")
    over = [row.reference for row in rows if row.auroc is not None]
    defined = [value for value in over if value is not None]
    mean = FigureRow(
        "mean",
        auroc=report.get("mean_auroc"),
        interval=_interval(report.get("mean_auroc_ci")),
        auprc=report.get("mean_auprc"),
        table_alone=table,
        # Over the findings that our own mean is taken over, or it would be another mean.
        reference=sum(defined) / len(defined) if defined and len(defined) == len(over) else None,
        is_comparable=is_comparable,
    )
    alone = None
    if table is not None:
        ends = _interval((report.get("table_alone") or {}).get("mean_auroc_ci"))
        alone = FigureRow("table alone", auroc=table, interval=ends)
    return Figures(rows, mean, _bounded_mean(report), alone, views, shown)


def short_reference(column: str) -> str:
    """A published column's name, short enough for a head: wang2017_official is Wang17."""
    name = column.partition("_")[0]
    letters = name.rstrip("0123456789")
    return letters[:6].capitalize() + name[len(letters) :][-2:]


def next_reference(at_hand: str, known: Sequence[str]) -> str:
    """The published column after this one; after the last, none."""
    names = [NO_REFERENCE, *known]
    position = names.index(at_hand) if at_hand in names else 0
    return names[(position + 1) % len(names)]


def write_tables(stem: Path, figures: Figures, title: str, notes: Sequence[str]) -> list[Path]:
    """Write the table as ``stem``.csv and ``stem``.md, each whole or not at all.

    Raises:
        OSError: the disk is full or can't be written.
    """
    table, page = stem.with_suffix(".csv"), stem.with_suffix(".md")
    write_whole(table, export_csv(figures))
    write_whole(page, export_markdown(figures, title, notes))
    return [table, page]


def export_csv(figures: Figures) -> bytes:
    """Every column with its numbers in full, undefined ones empty; text can be no formula."""
    columns = figures.columns()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([escape_formula(column.key) for column in columns] + ["note"])
    for row in _all_rows(figures):
        values = [column.value(row) for column in columns]
        writer.writerow([_csv_cell(value) for value in [*values, row.note]])
    return text.getvalue().encode()


def export_markdown(figures: Figures, title: str, notes: Sequence[str]) -> bytes:
    """A table for a report, with the notes that it must not be read without."""
    columns = figures.columns()
    lines = [f"# {_markdown(title)}", ""]
    lines.append("| " + " | ".join(_markdown(column.head) for column in columns) + " |")
    lines.append("|---|" + "---:|" * (len(columns) - 1))
    lines += [
        "| " + " | ".join(_markdown(column.cell(row)) for column in columns) + " |"
        for row in _all_rows(figures)
    ]
    lines += ["", *(f"- {_markdown(note)}" for note in notes), ""]
    return "\n".join(lines).encode()


def _bounded_mean(report: Mapping[str, Any]) -> FigureRow | None:
    bounded = report.get("mean_auroc_with_interval") or {}
    if report.get("mean_auroc_ci") is not None or bounded.get("ci") is None:
        return None
    over = len(bounded.get("over") or ())
    return FigureRow(
        f"mean of {over}", auroc=bounded.get("auroc"), interval=_interval(bounded["ci"])
    )


def _finding_row(
    name: str, figures: Mapping[str, Any], reference: float | None, *, is_comparable: bool
) -> FigureRow:
    return FigureRow(
        name=visible(name),
        positives=figures.get("positives"),
        patients=figures.get("positive_patients"),
        effective=figures.get("effective_positive_patients"),
        prevalence=figures.get("prevalence"),
        auroc=figures.get("auroc"),
        interval=_interval(figures.get("auroc_ci")),
        by_view=figures.get("auroc_by_view") or {},
        auprc=figures.get("auprc"),
        auprc_interval=_interval(figures.get("auprc_ci")),
        auprc_natural=figures.get("auprc_natural"),
        natural_prevalence=figures.get("natural_prevalence"),
        table_alone=figures.get("table_alone_auroc"),
        reference=reference,
        is_comparable=is_comparable,
        note=visible(figures.get("note") or ""),
    )


def _all_rows(figures: Figures) -> list[FigureRow]:
    return [*figures.findings, *figures.summaries]


def _positives(row: FigureRow) -> int | None:
    return row.positives


def _number_column(key: str, head: str, value: Callable[[FigureRow], float | None]) -> Column:
    return Column(key, head, max(5, len(head)), lambda row: number(value(row)), value)


def _percent_column(key: str, head: str, value: Callable[[FigureRow], float | None]) -> Column:
    def cell(row: FigureRow) -> str:
        share = value(row)
        return "–" if share is None else f"{100 * share:.1f}"

    return Column(key, head, len(head), cell, value)


def _view_column(view: str) -> Column:
    return _number_column(f"view.{view}", view, lambda row: row.by_view.get(view))


def _interval_column(key: str, head: str, value: Callable[[FigureRow], Interval | None]) -> Column:
    return Column(key, head, 13, lambda row: _ends(value(row)), value)


def _interval(value: Sequence[float] | None) -> Interval | None:
    return None if value is None else (value[0], value[1])


def number(value: float | None) -> str:
    """Three digits, or a dash where undefined."""
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    # A minus sign as wide as the plus: the figures stand under each other.
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _ends(value: Interval | None) -> str:
    return "–" if value is None else f"{value[0]:.3f} – {value[1]:.3f}"


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return f"{value[0]} to {value[1]}"
    return escape_formula(value) if isinstance(value, str) else str(value)


def _markdown(text: str) -> str:
    return visible(text).replace("\n", " ").replace("\\", "\\\\").replace("|", "\\|")
