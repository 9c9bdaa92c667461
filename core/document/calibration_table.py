"""Whether probabilities mean what they say, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Block, Table, Words
from core.document.values import NONE, ends, interval, number, rows, table, text, three

_NOTES = (
    "Intercept: calibration in the large, 0 is right, below 0 the network says too much. Slope: 1 "
    "is right, below 1 its probabilities are too extreme. O/E: positive images over the sum of "
    "probabilities.",
    "Scaled Brier: 0 is the prevalence for every image, 1 is perfect. ECE: expected calibration "
    "error by bins of equal size, beside what a perfectly calibrated network of this part would "
    "show on average, and in about nine of ten parts at most.",
)


def calibration_table(figures: Mapping[str, Any], title: str) -> Table | None:
    """One row a finding; None if there are no such figures.

    Args:
        figures: finding -> its calibration, as under ``calibration`` of a report.
        title: the table's.
    """
    findings = {name: table(row) for name, row in figures.items()}
    if not findings:
        return None
    head = ("finding", "intercept", "95 % interval", "slope", "95 % interval", "O/E",
            "95 % interval", "Brier", "scaled", "ECE", "if calibrated")  # fmt: skip
    lines = tuple((name, *_cells(row)) for name, row in findings.items())
    notes = [
        f"{name}: {note}." for name, row in findings.items() if (note := text(row.get("note")))
    ]
    return Table(title, head, lines, 1, (*_NOTES, *notes))


def recalibration_blocks(report: Mapping[str, Any]) -> list[Block]:
    """What probabilities went through before they were shown, and what they were; [] if nothing."""
    found = table(report.get("recalibration"))
    if not text(found.get("method")):
        return []
    findings = ", ".join(map(str, rows(found.get("findings")))) or "no finding"
    words = [
        f"Probabilities of {findings} were recalibrated ({text(found.get('method'))}), fitted on "
        "val alone. Every probability, threshold and calibration figure of this report is after it."
    ]
    words += [f"{name}: {note}." for name, note in table(found.get("notes")).items()]
    before = calibration_table(table(found.get("before")), "Calibration before recalibration")
    after = calibration_table(table(report.get("calibration")), "Calibration after it")
    return [Words(tuple(words)), *[one for one in (before, after) if one is not None]]


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = []
    for name in ("intercept", "slope", "observed_expected"):
        cells += [_two(number(row.get(name))), _two_ends(interval(row.get(f"{name}_ci")))]
    cells += [three(number(row.get(name))) for name in ("brier", "scaled_brier", "ece")]
    expected, limit = number(row.get("ece_if_calibrated")), number(row.get("ece_limit"))
    beside = NONE if expected is None else three(expected)
    return [*cells, beside if limit is None else f"{beside}, at most {three(limit)}"]


def _two(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}".replace("-", "−")


def _two_ends(around: tuple[float, float] | None) -> str:
    return ends(None) if around is None else f"{_two(around[0])} to {_two(around[1])}"
