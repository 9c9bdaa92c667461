"""The figures of evaluation/test.json on stdout, worded as on Results."""

from __future__ import annotations

from core.report_shape import PartReport
from cxr_tui.reports.calibration_table import print_calibration
from cxr_tui.reports.figure_rows import figures_of, title_of
from cxr_tui.reports.notes import notes_of
from cxr_tui.reports.subgroup_table import print_subgroups
from cxr_tui.reports.worth_table import print_worth
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.stdout import print_pairs, print_table, stdout_console

_GAP = 2


def print_report(report: PartReport) -> None:
    """Print the figures of a part: each finding with its interval, the mean, and notes."""
    figures = figures_of(report)
    columns = figures.fitting(stdout_console().width, _GAP)
    rows = [figures.cells(row, columns) for row in (*figures.findings, *figures.summaries)]
    print_table(title_of(report), [column.head for column in columns], rows)
    print_calibration(report)
    print_worth(report)
    print_subgroups(report)
    notes = [note.text for note in notes_of(report, figures)]
    kept = {column.key for column in columns}
    if gone := [column.head for column in figures.columns() if column.key not in kept]:
        notes.append(f"the terminal is too narrow for {', '.join(gone)}: widen it or use --json")
    print_pairs([*health_pairs(answers_of(report.health)), *(("·", note) for note in notes)])
