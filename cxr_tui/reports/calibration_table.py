"""A report's calibration as rows, for stdout and screens; imports no Textual."""

from __future__ import annotations

from core.report_shape import PartReport, ReportedCalibration
from core.words import signed
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import print_table, stdout_console

HEAD = ("calibration", "intercept", "95 %", "slope", "95 %", "obs/exp", "Brier", "ECE", "by chance")
_BY_IMPORTANCE = (0, 1, 3, 5, 6, 7, 8, 4, 2)
_UNDEFINED = "–"
_GAP = 2

READING = (
    "calibration: intercept 0, slope 1 and observed/expected 1 are perfect; a negative intercept "
    "means probabilities too high, a slope below 1 too extreme; by chance: the ECE of a perfectly "
    "calibrated model of this size"
)

Interval = tuple[float, float]


def calibration_rows(report: PartReport) -> list[list[str]]:
    """A row for each finding in the order of ``HEAD``; below it one without recalibration."""
    rows, recalibration = [], report.recalibration
    for name, of in report.calibration.items():
        rows.append([visible(name), *_cells(of)])
        if name in recalibration.findings and name in recalibration.before:
            rows.append(["  before", *_cells(recalibration.before[name])])
    return rows


def calibration_notes(report: PartReport) -> list[str]:
    """How to read the figures, what was recalibrated, and what is undefined."""
    recalibration = report.recalibration
    notes = [READING]
    if recalibration.method:
        notes.append(
            f"probabilities are recalibrated ({visible(recalibration.method)}), fitted on val"
            + (": on these same images" if report.split == "val" else "")
            + "; AUROC and calls are as before, and saved predictions are the network's own"
        )
    notes += [f"{visible(name)}: not recalibrated: {visible(why)}"
              for name, why in recalibration.notes.items()]  # fmt: skip
    said: dict[str, list[str]] = {}
    for name, of in report.calibration.items():
        for part in filter(None, of.note.split("; ")):
            said.setdefault(part, []).append(name)
    return notes + [f"{visible(', '.join(names))}: {visible(part)}" for part, names in said.items()]


def print_calibration(report: PartReport) -> None:
    """Print the table, as wide as fits; nothing for a report without it."""
    rows = calibration_rows(report)
    if not rows:
        return
    widths = [max(map(len, column)) + _GAP for column in zip(HEAD, *rows, strict=True)]
    room, kept = stdout_console().width, []
    for place in _BY_IMPORTANCE:
        room -= widths[place]
        if room < 0:
            break
        kept.append(place)
    kept.sort()
    shown = [[row[at] for at in kept] for row in rows]
    print_table(None, [HEAD[at] for at in kept], shown, notes=calibration_notes(report))


def _cells(of: ReportedCalibration) -> list[str]:
    return [
        signed(of.intercept, 2),
        ends(of.intercept_ci),
        number(of.slope, 2),
        ends(of.slope_ci),
        number(of.observed_expected, 2),
        number(of.brier, 4),
        number(of.ece, 4),
        number(of.ece_if_calibrated, 4),
    ]


def number(value: float | None, digits: int) -> str:
    """With so many digits, or a dash."""
    return _UNDEFINED if value is None else f"{value:.{digits}f}".replace("-", "−")


def ends(interval: Interval | None) -> str:
    """An interval, or a dash."""
    if interval is None:
        return _UNDEFINED
    return f"{interval[0]:.2f} – {interval[1]:.2f}".replace("-", "−")
