"""What a score is worth, as rows: net benefit, and PPV, NPV and alarms at other prevalences."""

from __future__ import annotations

from core.report_shape import PartReport, ReportedDecision, ReportedElsewhere, ReportedWorth
from core.words import signed
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import print_table

ELSEWHERE_HEAD = ("finding", "prevalence", "PPV", "95 %", "NPV", "95 %", "alarms of 1,000")
DECISION_HEAD = ("act from", "net benefit", "95 %", "treat all", "gain over both")
SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Thresholds of the printed curve; the report has more."""

_NEAR = 1.25
_UNDEFINED = "–"

Interval = tuple[float, float]


def decision_rows(curve: ReportedDecision, shown: tuple[float, ...] = SHOWN) -> list[list[str]]:
    """A row for each of these thresholds, per 1,000 images."""
    places = [at for at, value in enumerate(curve.thresholds) if not shown or value in shown]
    return [
        [
            f"{curve.thresholds[at]:g}",
            _per_1000(curve.net_benefit[at]),
            _ends(curve.net_benefit_ci[at]),
            _per_1000(curve.treat_all[at]),
            _per_1000(curve.gain[at]),
        ]
        for at in places
    ]


def elsewhere_rows(report: PartReport) -> list[list[str]]:
    """Two rows for each finding with a given prevalence: there, and on these images."""
    rows = []
    for finding, of in report.at_prevalence.items():
        name = visible(finding)
        rows.append([name, percent(of.prevalence), *worth_cells(of.there)])
        rows.append(
            [f"  {report.split or 'here'}", percent(of.prevalence_here), *worth_cells(of.here)]
        )
    return rows


def elsewhere_notes(report: PartReport) -> list[str]:
    """What happens to probabilities, and what can't be said."""
    notes = []
    for finding, of in report.at_prevalence.items():
        name = visible(finding)
        if of.note:
            notes.append(f"{name}: {visible(of.note)}")
        elif of.logit_shift is not None:
            notes.append(
                f"{name}: probabilities are right at {percent(of.shifted_from)} "
                f"({visible(of.shifted_from_part)}); for {percent(of.prevalence)} add "
                f"{_signed(of.logit_shift)} to their logits{_calibrated(of)}"
            )
    if notes:
        notes.append(
            "PPV and NPV there: Bayes' rule, with sensitivity and specificity as on these images"
        )
    return notes


def print_worth(report: PartReport) -> None:
    """Print what a prevalence was given for; nothing without one."""
    if report.at_prevalence:
        print_table(None, ELSEWHERE_HEAD, elsewhere_rows(report), notes=elsewhere_notes(report))


def _calibrated(of: ReportedElsewhere) -> str:
    """How right they then are on these images; said where the prevalence given is theirs."""
    ratio, interval = of.calibration.observed_expected, of.calibration.observed_expected_ci
    if not of.prevalence or not of.prevalence_here or ratio is None:
        return ""
    if not 1 / _NEAR <= of.prevalence / of.prevalence_here <= _NEAR:
        return ""
    words = f"; on these images observed/expected is then {ratio:.2f}"
    return words if interval is None else f"{words} ({interval[0]:.2f} – {interval[1]:.2f})"


def worth_cells(worth: ReportedWorth) -> list[str]:
    """PPV, NPV and alarms, as in ``ELSEWHERE_HEAD``."""
    alarms = worth.alarms_per_1000
    return [
        _number(worth.ppv),
        _shares(worth.ppv_ci),
        _number(worth.npv),
        _shares(worth.npv_ci),
        _UNDEFINED if alarms is None else f"{alarms:.0f}",
    ]


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return signed(value, 2)


def percent(value: float | None) -> str:
    """Such as ``2.0 %``."""
    return _UNDEFINED if value is None else f"{100 * value:.1f} %"


def _per_1000(value: float) -> str:
    return signed(1000 * value, 1)


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return _UNDEFINED
    return f"{_per_1000(interval[0])} – {_per_1000(interval[1])}"


def _shares(interval: Interval | None) -> str:
    return _UNDEFINED if interval is None else f"{interval[0]:.3f} – {interval[1]:.3f}"
