"""A report's figures as rows and columns, for screen, stdout and export; imports no Textual."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.evaluation.references import (
    NO_REFERENCE,
    ReferenceShown,
    load_references,
    reference_for,
    references_of,
)
from core.report_shape import PartReport, ReportedFigures
from core.words import number_of, patients_of, signed
from cxr_tui.terminal.safe_text import visible

Interval = tuple[float, float]

# Columns are dropped from the end if they don't fit.
_BY_IMPORTANCE = (
    *("finding", "auroc", "interval", "positives", "reference", "delta", "view"),
    *("patients", "auprc", "prevalence", "auprc_natural", "natural"),
    *("auprc_interval", "table_alone"),
)
_UNDEFINED = "–"


@dataclass(frozen=True)
class FigureRow:
    """The figures of one finding, or of a summary row; None where undefined."""

    name: str
    figures: ReportedFigures
    reference: float | None = None
    is_comparable: bool = True

    @property
    def note(self) -> str:
        """Notes on it."""
        return visible(self.figures.note)

    @property
    def delta(self) -> float | None:
        """Our AUROC minus the published one; None if that was measured on other labels."""
        auroc = self.figures.auroc
        if auroc is None or self.reference is None or not self.is_comparable:
            return None
        return auroc - self.reference


@dataclass(frozen=True)
class Column:
    """One column: its head, the text of its cells, and their numeric values."""

    key: str
    head: str
    cell: Callable[[FigureRow], str]
    value: Callable[[FigureRow], object]

    @property
    def importance(self) -> int:
        """Rank of importance; the lowest is dropped last."""
        return _BY_IMPORTANCE.index(self.key.partition(".")[0])

    @property
    def is_needed(self) -> bool:
        """Whether the table is hard to read without it."""
        return self.importance <= _BY_IMPORTANCE.index("view")


@dataclass(frozen=True)
class Figures:
    """All rows of a report, with a published column or none."""

    findings: tuple[FigureRow, ...]
    summaries: tuple[FigureRow, ...]
    """The rows below the findings: the mean first."""
    views: tuple[str, ...]
    reference: ReferenceShown | None
    published: tuple[str, ...]
    """The published columns of the same data set; NIH's for one's own."""

    @property
    def reference_is_shown(self) -> bool:
        """Whether the published figures may be shown next to ours."""
        return self.reference is not None and self.reference.auroc_by_finding is not None

    def columns(self) -> list[Column]:
        """Every column with something to show, in the order of the table."""
        published: list[Column] = []
        if self.reference is not None and self.reference_is_shown:
            head = short_reference(self.reference.reference.column)
            published = [
                _number_column("reference", head, lambda row: row.reference),
                Column("delta", "Δ", lambda row: _signed(row.delta), lambda row: row.delta),
            ]
        natural: list[Column] = []
        if any(row.figures.natural_prevalence is not None for row in self.findings):
            natural = [
                _number_column(
                    "auprc_natural", "whole AUPRC", lambda row: row.figures.auprc_natural
                ),
                _percent_column(
                    "natural", "whole part", lambda row: row.figures.natural_prevalence
                ),
            ]
        return [
            Column("finding", "finding", lambda row: row.name, lambda row: row.name),
            Column("positives", "positives", lambda row: _count(row.figures.positives), _positives),
            Column("patients", "patients", _patients, lambda row: row.figures.positive_patients),
            _number_column("auroc", "AUROC", lambda row: row.figures.auroc),
            _interval_column("interval", "95 % interval", lambda row: row.figures.auroc_ci),
            *(_view_column(view) for view in self.views),
            *published,
            _number_column("auprc", "AUPRC", lambda row: row.figures.auprc),
            _interval_column("auprc_interval", "95 % of AUPRC", lambda row: row.figures.auprc_ci),
            _percent_column("prevalence", "prevalence", lambda row: row.figures.prevalence),
            *natural,
            _number_column("table_alone", "table alone", lambda row: row.figures.table_alone_auroc),
        ]

    def cells(self, row: FigureRow, columns: Sequence[Column]) -> list[str]:
        """A row's text; values that a summary row lacks are empty."""
        absent = "" if any(row is summary for summary in self.summaries) else _UNDEFINED
        cells = [column.cell(row) for column in columns]
        return [absent if cell == _UNDEFINED else cell for cell in cells]

    def width(self, column: Column) -> int:
        """The width of the widest cell or the head."""
        rows = (*self.findings, *self.summaries)
        return max([len(column.head), *(len(column.cell(row)) for row in rows)])

    def fitting(self, room: int, gap: int) -> list[Column]:
        """The columns that fit with a gap before each; the least important are dropped."""
        columns, kept = self.columns(), set[str]()
        for column in sorted(columns, key=lambda column: column.importance):
            room -= self.width(column) + gap
            if room < 0:
                break
            kept.add(column.key)
        return [column for column in columns if column.key in kept]


def title_of(report: PartReport) -> str:
    """The part, and its size."""
    return f"{report.split}: {number_of(report.images, 'image')} of {patients_of(report.patients)}"


def figures_of(report: PartReport, reference: str | None = None) -> Figures:
    """The rows of a report with that published column, or ``none``; None: the report's own."""
    own = report.reference.column
    shown = reference_for(
        reference or (own if own in load_references() else NO_REFERENCE),
        report.split_kind,
        part=report.split,
        num_images=report.images,
        label_table=report.label_table,
        official_part=report.official_part,
    )
    is_comparable = shown is None or shown.no_difference is None
    published = (shown.auroc_by_finding if shown else None) or {}
    rows = tuple(
        FigureRow(visible(name), figures, published.get(name), is_comparable)
        for name, figures in report.findings.items()
    )
    views = tuple(dict.fromkeys(view for row in rows for view in row.figures.auroc_by_view))
    over = [row.reference for row in rows if row.figures.auroc is not None]
    defined = [value for value in over if value is not None]
    # Over the same findings as our own mean, or it would be a different mean.
    beside = sum(defined) / len(defined) if defined and len(defined) == len(over) else None
    mean = ReportedFigures(
        auroc=report.mean_auroc,
        auroc_ci=report.mean_auroc_ci,
        auprc=report.mean_auprc,
        table_alone_auroc=report.table_alone.mean_auroc,
    )
    summaries = [FigureRow("mean", mean, beside, is_comparable), *_other_summaries(report)]
    known = references_of(report.kind) or references_of("nih")
    return Figures(rows, tuple(summaries), views, shown, known)


def short_reference(column: str) -> str:
    """A published column's name, shortened for a head: wang2017_official is Wang17."""
    name = column.partition("_")[0]
    letters = name.rstrip("0123456789")
    return letters[:6].capitalize() + name[len(letters) :][-2:]


def next_reference(at_hand: str, known: Sequence[str]) -> str:
    """The published column after this one; after the last, none."""
    names = [NO_REFERENCE, *known]
    position = names.index(at_hand) if at_hand in names else 0
    return names[(position + 1) % len(names)]


def _other_summaries(report: PartReport) -> Iterable[FigureRow]:
    """The mean over the findings with an interval, if the mean has none; the table alone."""
    bounded, table = report.mean_auroc_with_interval, report.table_alone
    if report.mean_auroc_ci is None and bounded.ci is not None:
        figures = ReportedFigures(auroc=bounded.auroc, auroc_ci=bounded.ci)
        yield FigureRow(f"mean of {len(bounded.over)}", figures)
    if table.mean_auroc is not None:
        figures = ReportedFigures(auroc=table.mean_auroc, auroc_ci=table.mean_auroc_ci)
        yield FigureRow("table alone", figures)


def _positives(row: FigureRow) -> int | None:
    return row.figures.positives


def _number_column(key: str, head: str, value: Callable[[FigureRow], float | None]) -> Column:
    return Column(key, head, lambda row: _number(value(row)), value)


def _percent_column(key: str, head: str, value: Callable[[FigureRow], float | None]) -> Column:
    def cell(row: FigureRow) -> str:
        share = value(row)
        return _UNDEFINED if share is None else f"{100 * share:.1f} %"

    return Column(key, head, cell, value)


def _view_column(view: str) -> Column:
    return _number_column(f"view.{view}", view, lambda row: row.figures.auroc_by_view.get(view))


def _interval_column(key: str, head: str, value: Callable[[FigureRow], Interval | None]) -> Column:
    return Column(key, head, lambda row: _ends(value(row)), value)


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    # A minus sign as wide as the plus, so that figures align.
    return signed(value)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _patients(row: FigureRow) -> str:
    """Patients with a positive image, and their effective number, which intervals are based on."""
    worth = (
        ""
        if row.figures.effective_positive_patients is None
        else f" ({row.figures.effective_positive_patients:.0f})"
    )
    return f"{_count(row.figures.positive_patients)}{worth}"


def _ends(value: Interval | None) -> str:
    return _UNDEFINED if value is None else f"{value[0]:.3f} – {value[1]:.3f}"
