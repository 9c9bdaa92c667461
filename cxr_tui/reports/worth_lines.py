"""What a score is worth, as aligned lines of text; imports no Textual."""

from __future__ import annotations

from collections.abc import Sequence

from core.report_shape import ReportedCalibration, ReportedDecision, ReportedElsewhere
from core.words import signed
from cxr_tui.reports.calibration_table import ends, number
from cxr_tui.reports.worth_table import DECISION_HEAD, decision_rows, percent, worth_cells
from cxr_tui.terminal.safe_text import visible


def calibration_lines(of: ReportedCalibration) -> list[str]:
    """Intercept, slope, the Brier score with its parts, and notes."""
    lines = [
        f"intercept {signed(of.intercept, 2)} ({ends(of.intercept_ci)}), "
        f"slope {number(of.slope, 2)} ({ends(of.slope_ci)})",
        f"observed/expected {number(of.observed_expected, 2)} ({ends(of.observed_expected_ci)}), "
        f"ECE {number(of.ece, 4)}, by chance {number(of.ece_if_calibrated, 4)}",
        f"Brier {number(of.brier, 4)} = miscalibration {number(of.miscalibration, 4)} "
        f"− discrimination {number(of.discrimination, 4)} + {number(of.uncertainty, 4)}",
    ]
    return lines + ([f"· {visible(of.note)}"] if of.note else [])


def elsewhere_lines(of: ReportedElsewhere, part: str) -> list[str]:
    """PPV, NPV and alarms there and here, and the shift of logits."""
    head = ["prevalence", "PPV", "95 %", "NPV", "95 %", "alarms of 1,000"]
    rows = [[percent(of.prevalence), *worth_cells(of.there)]]
    if of.prevalence != of.prevalence_here:
        rows.append([f"{visible(part)} {percent(of.prevalence_here)}", *worth_cells(of.here)])
    lines = aligned(head, rows)
    if of.logit_shift and of.prevalence != of.shifted_from:
        lines.append(
            f"· probabilities are right at {percent(of.shifted_from)} "
            f"({visible(of.shifted_from_part)}): add {signed(of.logit_shift, 2)} to their logits"
        )
    return lines


def decision_lines(curve: ReportedDecision) -> list[str]:
    """Net benefit per 1,000 images at a few thresholds; why there is none."""
    if not curve.thresholds:
        return [f"no decision curve: {visible(curve.note) or 'this report has none'}"]
    return ["of 1,000 images, in cases found:", *aligned(DECISION_HEAD, decision_rows(curve))]


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Right-aligned columns under their heads, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]
