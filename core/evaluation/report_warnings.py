"""What a reader of an evaluation's figures should know, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.intervals import PatientIntervals
from core.evaluation.metrics import (
    CUT_SCORES,
    TOO_FEW_PATIENTS,
    FindingFigures,
    mean_over_defined,
)
from core.evaluation.predictions import Predictions
from core.evaluation.score_table import UNKNOWN_PATIENT


def bounded_mean(
    findings: Sequence[str], figures: Mapping[str, FindingFigures], intervals: PatientIntervals
) -> dict[str, Any]:
    """The mean AUROC and its interval over the findings that have an interval of their own."""
    names = [findings[column] for column in intervals.bounded]
    return {
        "auroc": rounded(mean_over_defined([figures[name].auroc for name in names])),
        "ci": rounded_interval(intervals.bounded_mean),
        "over": names,
    }


def report_warnings(
    predictions: Predictions,
    figures: Mapping[str, FindingFigures],
    intervals: PatientIntervals,
    *,
    part: str,
    dataset_share: float | None,
) -> list[str]:
    """Warnings that follow from the figures themselves.

    Args:
        part: the part scored.
        dataset_share: share of the table's images that were found, or None.
    """
    warnings = []
    if dataset_share is not None and dataset_share < 1:
        warnings.append(
            f"a part of the data set was scored: {100 * dataset_share:.2f} % of its images were "
            "there"
        )
    unknown = int((predictions.patients == UNKNOWN_PATIENT).sum())
    if unknown:
        warnings.append(
            f"the patient of {unknown:,} images is unknown: each counts as a patient of its own, "
            "so intervals may be too narrow"
        )
    warnings += _finding_warnings(figures, part)
    warnings += _mean_warnings(predictions.findings, figures, intervals)
    return warnings


def _finding_warnings(figures: Mapping[str, FindingFigures], part: str) -> list[str]:
    defined = {name: f for name, f in figures.items() if f.auroc is not None}
    cut = [name for name, f in defined.items() if f.looks_cut]
    undefined = [name for name in figures if name not in defined]
    few = [
        f"{name} ({f.positive_patients})"
        for name, f in defined.items()
        if f.positive_patients < TOO_FEW_PATIENTS
    ]
    warnings = []
    if cut:
        warnings.append(
            f"{CUT_SCORES} for {', '.join(cut)}: they look cut to integers or "
            "thresholded; the AUROC of such scores says little"
        )
    if undefined:
        warnings.append(
            f"no AUROC in {part} for {', '.join(undefined)}: only one class; "
            "the mean leaves them out"
        )
    if few:
        warnings.append(f"too few positive patients in {part}: {', '.join(few)}")
    return warnings


def _mean_warnings(
    findings: Sequence[str], figures: Mapping[str, FindingFigures], intervals: PatientIntervals
) -> list[str]:
    """Why the mean has no interval, and its value over the findings that have one."""
    if intervals.draws == 0 or intervals.mean_auroc is not None:
        return []
    without = [
        finding
        for column, finding in enumerate(findings)
        if figures[finding].auroc is not None and column not in intervals.bounded
    ]
    if not without:
        return []  # no finding has an AUROC, which another warning says
    if not intervals.bounded:
        return ["the mean AUROC has no interval, since none of its findings has one"]
    verb = "has" if len(without) == 1 else "have"
    said = f"the mean AUROC has no interval, since {', '.join(without)} {verb} none"
    bounded = bounded_mean(findings, figures, intervals)
    if bounded["ci"] is not None:
        low, high = bounded["ci"]
        said += (
            f"; over the other {len(bounded['over'])} it is {bounded['auroc']:.3f} "
            f"({low:.3f} – {high:.3f})"
        )
    return [said]
