"""Are the probabilities right? Names findings whose probabilities are far from the shares seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed

_FAR = 1.5
"""Factor between the positive images expected and observed that matters in practice."""

_ENOUGH_PATIENTS = 30
"""Positive patients from which on the intervals are known to hold (docs/calibration.md)."""

Report = Mapping[str, Any]


def check_calibration(report: Report) -> Iterator[Diagnosis]:
    """Findings with a factor of ``_FAR`` or more, that chance doesn't explain.

    Each finding is another chance to be wrong, so the intervals are widened to hold together
    (Bonferroni). A finding with fewer than ``_ENOUGH_PATIENTS`` positive patients is left out.
    """
    judged = {
        finding: figures
        for finding, figures in (report.get("calibration") or {}).items()
        if _positive_patients(report, finding) >= _ENOUGH_PATIENTS
    }
    found = {
        finding: ratio
        for finding, figures in judged.items()
        if (ratio := _far(figures, of=len(judged))) is not None
    }
    if not found:
        return
    worst = max(found, key=lambda finding: max(found[finding], 1 / found[finding]))
    figures = report["calibration"][worst]
    ratio = found[worst]
    how = f"{1 / ratio:.1f} times too high" if ratio < 1 else f"{ratio:.1f} times too low"
    low, high = figures["observed_expected_ci"]
    yield Diagnosis(
        check="probabilities-off",
        severity=Severity.WARNING,
        text=f"Miscalibrated: the probabilities of {listed(list(found))} are not the shares of "
        f"positive images; those of {worst} are {how} on average.",
        evidence={
            "finding": worst,
            "observed_over_expected": ratio,
            "interval_low": low,
            "interval_high": high,
            "intercept": figures.get("intercept"),
            "slope": figures.get("slope"),
        },
        remedy=_remedy(report, worst),
    )


def _positive_patients(report: Report, finding: str) -> int:
    return ((report.get("findings") or {}).get(finding) or {}).get("positive_patients") or 0


def _far(figures: Report, *, of: int) -> float | None:
    """Observed over expected, if it is far from 1 and chance doesn't explain it in ``of`` tries."""
    ratio, interval = figures.get("observed_expected"), figures.get("observed_expected_ci")
    if not ratio or not interval or not interval[0] or max(ratio, 1 / ratio) < _FAR:
        return None
    from scipy.special import ndtri  # comes with scikit-learn; slow at the door

    # The interval is symmetric in the logarithm; 1.96 of its errors lie on each side.
    widened = ndtri(0.025 / of) / ndtri(0.025)
    reach = math.log(interval[1] / interval[0]) / 2 * widened
    return float(ratio) if abs(math.log(ratio)) > reach else None


def _remedy(report: Report, finding: str) -> str:
    figures = report["calibration"][finding]
    of_val, images = figures.get("val_prevalence"), figures.get("images")
    here = (figures.get("positives") or 0) / images if images else None
    if of_val and here and max(of_val / here, here / of_val) >= _FAR:
        return (
            f"Val has a prevalence of {100 * of_val:.1f} % of {finding}, this part "
            f"{100 * here:.1f} %, so recalibrating on val can't mend it. Name the prevalence where "
            f"it is used: cxr-tui evaluate --prevalence {finding}={here:.3g}."
        )
    if report.get("recalibration"):
        return "It was recalibrated on val, whose images differ from these: look at both parts."
    if report.get("split") in ("train", "val", "test") and of_val:
        return (
            "AUROC and calls are not affected. For probabilities set evaluate.recalibrate to "
            "platt: it is fitted on val."
        )
    return "AUROC is not affected. Don't read these scores as probabilities."
