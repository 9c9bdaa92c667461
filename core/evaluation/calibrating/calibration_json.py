"""A finding's calibration as JSON values."""

from __future__ import annotations

from typing import Any

from core.evaluation.calibrating.calibration import CalibrationFigures
from core.evaluation.calibrating.corp import BrierParts
from core.evaluation.calibrating.patient_sums import Estimate
from core.evaluation.finding_report import rounded, rounded_interval

ESTIMATES = ("intercept", "slope", "observed_expected", "brier", "scaled_brier")


def calibration_json(figures: CalibrationFigures, *, with_intervals: bool = True) -> dict[str, Any]:
    """One finding's; the rounded parts of the Brier score still sum to it."""
    error = figures.error
    found: dict[str, Any] = {"positives": figures.positives, "images": figures.images}
    for name in ESTIMATES:
        estimate: Estimate = getattr(figures, name)
        found[name] = rounded(estimate.value)
        found[f"{name}_ci"] = rounded_interval(estimate.interval) if with_intervals else None
    return {
        **found,
        **_parts(figures.parts, found["brier"]),
        "ece": rounded(error.value if error else None),
        "ece_if_calibrated": rounded(error.expected if error else None),
        "ece_limit": rounded(error.limit if error else None),
        "note": "; ".join(figures.notes) or None,
    }


def _parts(parts: BrierParts | None, brier: float | None) -> dict[str, float | None]:
    if parts is None or brier is None:
        return dict.fromkeys(("miscalibration", "discrimination", "uncertainty"))
    discrimination = round(parts.discrimination, 6)
    uncertainty = round(parts.uncertainty, 6)
    return {
        "miscalibration": round(brier + discrimination - uncertainty, 6),
        "discrimination": discrimination,
        "uncertainty": uncertainty,
    }
