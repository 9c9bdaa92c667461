"""Predictions -> the evaluation of the contract: every figure with what it takes to read it.

Figures are rounded to 6 digits (far below any interval's width, and the same text on every
machine); thresholds are not, since a score equal to one has to stay at or above it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.intervals import CONFIDENCE, Interval, PatientIntervals, patient_bootstrap
from core.evaluation.metrics import (
    TOO_FEW_PATIENTS,
    FindingFigures,
    auroc_by_group,
    finding_figures,
    mean_over_defined,
)
from core.evaluation.operating_points import (
    Rule,
    called_counts,
    choose_threshold,
    parse_rule,
)
from core.evaluation.predictions import Predictions
from core.evaluation.references import (
    DENSENET121_OFFICIAL_MEAN,
    ReferenceShown,
    is_official_test,
    reference_for,
)
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.evaluation.table_baseline import TableAlone
from core.findings import PRESENT, VIEW_POSITIONS

LABELS_NOTE = "Labels were mined from reports; some are wrong."

_DIGITS = 6

CUT_SCORES = "scores have two values at most"
"""How the warning of scores begins that look cut; a finding's note says the same of it alone."""


@dataclass(frozen=True)
class EvaluationContext:
    """What has to be known beside the predictions.

    Attributes:
        split: the part scored.
        split_kind: official, patient, lists or unknown.
        reference: a published column, or none.
        operating_point: the rule, as in the recipe.
        bootstrap: draws of patients; 0 gives no intervals.
        views: N view positions in the predictions' order, or None where unknown.
        val: predictions on val, on which thresholds are chosen.
        table_alone: what the label table reaches without an image.
        extra_warnings: warnings of earlier stages, passed on.
        dataset_share: share of the table's images that were there (0 … 1), or None.
    """

    split: str = "test"
    split_kind: str = "unknown"
    reference: str = "none"
    operating_point: str = "youden"
    bootstrap: int = 1000
    seed: int = 0
    views: NDArray[Any] | None = None
    val: Predictions | None = None
    table_alone: TableAlone | None = None
    extra_warnings: tuple[str, ...] = ()
    dataset_share: float | None = None


@dataclass(frozen=True)
class _Measured:
    """What the report's parts are written from."""

    patients_N: NDArray[np.int64]
    figures: dict[str, FindingFigures]
    intervals: PatientIntervals
    rule: Rule
    reference: ReferenceShown | None


def evaluate(predictions: Predictions, context: EvaluationContext) -> dict[str, Any]:
    """Every figure of the contract, as JSON takes it (None where undefined, never NaN).

    Raises:
        RecipeError: an unknown reference or operating point.
    """
    measured = _measure(predictions, context)
    figures, intervals = measured.figures, measured.intervals
    table = context.table_alone
    return {
        "split": context.split,
        "split_kind": context.split_kind,
        "images": len(predictions.images),
        "patients": len(np.unique(measured.patients_N)),
        "dataset_share": _rounded(context.dataset_share),
        "findings": {
            finding: _finding_report(predictions, context, measured, column)
            for column, finding in enumerate(predictions.findings)
        },
        "mean_auroc": _rounded(mean_over_defined([f.auroc for f in figures.values()])),
        "mean_auroc_ci": _rounded_interval(intervals.mean_auroc),
        "mean_auroc_over": [name for name, f in figures.items() if f.auroc is not None],
        "mean_auprc": _rounded(mean_over_defined([f.auprc for f in figures.values()])),
        "intervals": {
            "confidence": CONFIDENCE,
            "resampled": "patients",
            "draws": context.bootstrap,
            "draws_with_every_finding": intervals.mean_draws,
            "seed": context.seed,
        },
        "table_alone": {
            "mean_auroc": _rounded(table.mean) if table else None,
            "note": table.reason if table else "not computed",
        },
        "operating_point": str(measured.rule),
        "reference": _reference_report(measured.reference),
        "reference_range": _densenet_range(context, len(predictions.images)),
        "labels_note": LABELS_NOTE,
        "warnings": _warnings(predictions, context, measured),
    }


def _measure(predictions: Predictions, context: EvaluationContext) -> _Measured:
    # Settings first: a wrong one is refused before anything is computed.
    rule = parse_rule(context.operating_point)
    reference = reference_for(
        context.reference,
        context.split_kind,
        part=context.split,
        num_images=len(predictions.images),
    )
    labels_NF, scores_NF = predictions.labels_NF, predictions.scores_NF
    patients_N = _patients_or_images(predictions)
    figures = {
        finding: finding_figures(
            labels_NF[:, column], scores_NF[:, column], patients_N, context.split
        )
        for column, finding in enumerate(predictions.findings)
    }
    intervals = patient_bootstrap(
        labels_NF, scores_NF, patients_N, draws=context.bootstrap, seed=context.seed
    )
    return _Measured(patients_N, figures, intervals, rule, reference)


def _finding_report(
    predictions: Predictions, context: EvaluationContext, measured: _Measured, column: int
) -> dict[str, Any]:
    finding = predictions.findings[column]
    labels_N, scores_N = predictions.labels_NF[:, column], predictions.scores_NF[:, column]
    figures, intervals = measured.figures[finding], measured.intervals
    by_view = auroc_by_group(labels_N, scores_N, context.views, VIEW_POSITIONS)
    reason = intervals.reasons_F[column] if figures.auroc is not None else None
    notes = [*figures.notes, *([reason] if reason else [])]
    table = context.table_alone.auroc_by_finding if context.table_alone else {}
    shown = (measured.reference.auroc_by_finding or {}) if measured.reference else {}
    return {
        "positives": figures.positives,
        "negatives": figures.negatives,
        "positive_patients": figures.positive_patients,
        "prevalence": _rounded(figures.prevalence),
        "auroc": _rounded(figures.auroc),
        "auroc_ci": _rounded_interval(intervals.auroc_F[column]),
        "auprc": _rounded(figures.auprc),
        "auprc_ci": _rounded_interval(intervals.auprc_F[column]),
        "auroc_by_view": {view: _rounded(area) for view, area in by_view.items()},
        "table_alone_auroc": _rounded(table.get(finding)),
        "reference_auroc": shown.get(finding),
        "operating_point": _operating_point(
            measured.rule, finding, labels_N, scores_N, context.val
        ),
        "note": "; ".join(notes) or None,
    }


def _operating_point(
    rule: Rule,
    finding: str,
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    val: Predictions | None,
) -> dict[str, Any]:
    """The threshold chosen on val and what it does here; nulls with a note where there is none."""
    report: dict[str, Any] = dict.fromkeys(
        ("threshold", "sensitivity", "specificity", "ppv", "npv", "counts", "on_val", "note")
    )
    if val is None or finding not in val.findings:
        return report | {"note": "no predictions on val, so no threshold can be chosen"}
    val_column = val.findings.index(finding)
    val_labels_V = val.labels_NF[:, val_column]
    threshold = choose_threshold(rule, val_labels_V, val.scores_NF[:, val_column])
    positives_V = val_labels_V == PRESENT
    report["on_val"] = {
        "sensitivity": _rounded(threshold.sensitivity),
        "specificity": _rounded(threshold.specificity),
        "positives": int(positives_V.sum()),
        "positive_patients": len(np.unique(_patients_or_images(val)[positives_V])),
    }
    if threshold.value is None:
        return report | {"note": threshold.reason}
    counts = called_counts(threshold.value, labels_N, scores_N)
    return report | {
        "threshold": threshold.value,
        "sensitivity": _rounded(counts.sensitivity),
        "specificity": _rounded(counts.specificity),
        "ppv": _rounded(counts.ppv),
        "npv": _rounded(counts.npv),
        "counts": asdict(counts),
    }


def _patients_or_images(predictions: Predictions) -> NDArray[np.int64]:
    """Patient numbers; an image of an unknown patient is taken as a patient of its own.

    Such images get numbers by their names, so that the order of rows changes no draw.
    """
    unknown_N = predictions.patients == UNKNOWN_PATIENT
    if not unknown_N.any():
        return predictions.patients
    patients_N = predictions.patients.copy()
    names = predictions.images[unknown_N].astype(str)
    _, rank_U = np.unique(names, return_inverse=True)
    patients_N[unknown_N] = patients_N.max() + 1 + rank_U
    return patients_N


def _reference_report(reference: ReferenceShown | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    published = reference.reference
    shown = reference.auroc_by_finding
    return {
        "column": published.column,
        "model": published.model,
        "split_kind": published.split_kind,
        "measured_on": published.measured_on,
        "source": published.source,
        "mean_auroc": _rounded(float(np.mean(list(shown.values())))) if shown else None,
        "note": reference.warning,
    }


def _densenet_range(context: EvaluationContext, num_images: int) -> str | None:
    """What DenseNet121 reaches on the official test part, said only where that was scored."""
    if not is_official_test(context.split_kind, context.split, num_images):
        return None
    low, high = DENSENET121_OFFICIAL_MEAN
    return (
        f"Published mean AUROC of DenseNet121 on the official test part (all 14 findings, 25,596 "
        f"images): {low} to {high}, depending on recipe and resolution."
    )


def _warnings(
    predictions: Predictions, context: EvaluationContext, measured: _Measured
) -> list[str]:
    warnings = list(context.extra_warnings)
    share = context.dataset_share
    if share is not None and share < 1:
        warnings.append(
            f"a part of the data set was scored: {100 * share:.2f} % of its images were there"
        )
    unknown = int((predictions.patients == UNKNOWN_PATIENT).sum())
    if unknown:
        warnings.append(
            f"the patient of {unknown:,} images is unknown: each counts as a patient of its own, "
            "so intervals may be too narrow"
        )
    warnings += _finding_warnings(measured.figures, context.split)
    intervals = measured.intervals
    if intervals.draws and intervals.mean_findings and intervals.mean_auroc is None:
        warnings.append(
            "the mean AUROC has no interval: all its findings are defined in only "
            f"{intervals.mean_draws:,} of {intervals.draws:,} draws of patients"
        )
    if measured.reference is not None and measured.reference.warning:
        warnings.append(measured.reference.warning)
    return warnings


def _finding_warnings(figures: dict[str, FindingFigures], part: str) -> list[str]:
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
            "thresholded, and an AUROC of such scores says little"
        )
    if undefined:
        warnings.append(
            f"no AUROC in {part} for {', '.join(undefined)}: one class only; "
            "the mean leaves them out"
        )
    if few:
        warnings.append(f"too few positive patients in {part}: {', '.join(few)}")
    return warnings


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), _DIGITS)


def _rounded_interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, _DIGITS) for end in interval]
