"""From predictions to the evaluation report: every figure with what is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.tables.label_columns import MINED
from core.evaluation.beside_table import (
    AboveTable,
    above_the_table,
    finding_beside_table,
    table_report,
)
from core.evaluation.calibrating.calibration_report import (
    calibrating_report,
    carried_over,
    prevalence_report,
)
from core.evaluation.calibrating.recalibration import Recalibration
from core.evaluation.confidence import CONFIDENCE
from core.evaluation.finding_report import (
    OneFinding,
    by_view,
    natural_figures,
    operating_point,
    patients_or_images,
    rounded,
    rounded_interval,
)
from core.evaluation.intervals import PatientIntervals, patient_bootstrap
from core.evaluation.metrics import (
    FindingFigures,
    finding_figures,
    mean_over_defined,
)
from core.evaluation.operating_points import Rule, parse_rule
from core.evaluation.predictions import Predictions
from core.evaluation.references import (
    ReferenceShown,
    reference_for,
)
from core.evaluation.report_warnings import bounded_mean, report_warnings
from core.evaluation.subgroups.groups import Attributes
from core.evaluation.subgroups.subgroup_report import subgroup_report
from core.evaluation.table_baseline import TableAlone

LABELS_NOTE = MINED


@dataclass(frozen=True)
class EvaluationContext:
    """What must be known besides the predictions.

    Attributes:
        split: the part scored.
        split_kind: official, patient, lists or unknown.
        reference: a published column, or none.
        operating_point: the rule, as in the recipe.
        bootstrap: draws of patients; 0 gives no intervals.
        views: N view positions in the predictions' order, or None if unknown.
        val: predictions on val, on which thresholds are chosen.
        table_alone: results of the label table without images.
        extra_warnings: warnings of earlier stages, passed on.
        dataset_share: share of the table's images that were found (0 … 1), or None.
        label_table: the label table's version and file, such as ``NIH v2020 (labels.csv)``, or
            None if unknown.
        labels_note: where the labels come from.
        label_policy: what uncertain labels and blank cells became, in sentences.
        kind: the data set, as in ``dataset.kind``.
        official_part: the data set and the official part that all images are of, such as
            ``chexpert valid``; None: none, or NIH's.
        patients_are_known: false if each image counts as its own patient.
        natural_prevalence: finding -> its prevalence in the whole part; None if the part was not
            drawn at a prevalence, or the whole was not recorded.
        weights: number of images of the whole part that each of the N scored ones represents; None:
            all weigh the same.
        attributes: what tells groups of patients apart, see ``core.evaluation.subgroups``.
        recalibration: what probabilities go through before they are shown; predictions and val are
            the network's own.
        prevalence: ``FINDING=SHARE`` each: what calls and probabilities are worth there is added.
        train_prevalence: finding -> its prevalence in train, where the network's own probabilities
            are right; None if unknown.
    """

    split: str = "test"
    split_kind: str = "unknown"
    reference: str = "none"
    operating_point: str = "youden"
    bootstrap: int = 5000
    seed: int = 0
    views: NDArray[Any] | None = None
    val: Predictions | None = None
    table_alone: TableAlone | None = None
    extra_warnings: tuple[str, ...] = ()
    dataset_share: float | None = None
    label_table: str | None = None
    labels_note: str = LABELS_NOTE
    label_policy: tuple[str, ...] = ()
    patients_are_known: bool = True
    kind: str = "nih"
    official_part: str | None = None
    natural_prevalence: Mapping[str, float] | None = None
    weights: NDArray[np.float64] | None = None
    attributes: Attributes = field(default_factory=dict)
    recalibration: Recalibration | None = None
    prevalence: tuple[str, ...] = ()
    train_prevalence: Mapping[str, float] | None = None


@dataclass(frozen=True)
class _Measured:
    """What the report is written from."""

    patients_N: NDArray[np.int64]
    figures: dict[str, FindingFigures]
    intervals: PatientIntervals
    above_table: AboveTable
    rule: Rule
    reference: ReferenceShown | None


def evaluate(predictions: Predictions, context: EvaluationContext) -> dict[str, Any]:
    """Every figure of the report as JSON values (None if undefined, never NaN).

    Raises:
        RecipeError: an unknown reference or operating point.
    """
    measured = _measure(predictions, context)
    figures, intervals = measured.figures, measured.intervals
    recalibration = context.recalibration
    as_shown = predictions if recalibration is None else recalibration.predictions(predictions)
    findings = {
        finding: _finding_report(predictions, context, measured, column)
        for column, finding in enumerate(predictions.findings)
    }
    report = {
        "split": context.split,
        "split_kind": context.split_kind,
        "kind": context.kind,
        "official_part": context.official_part,
        "label_table": context.label_table,
        "images": len(predictions.images),
        "patients": (len(np.unique(measured.patients_N)) if context.patients_are_known else None),
        "dataset_share": rounded(context.dataset_share),
        "findings": findings,
        "mean_auroc": rounded(mean_over_defined([f.auroc for f in figures.values()])),
        "mean_auroc_ci": rounded_interval(intervals.mean_auroc),
        "mean_auroc_over": [name for name, f in figures.items() if f.auroc is not None],
        "mean_auroc_with_interval": bounded_mean(predictions.findings, figures, intervals),
        "mean_auprc": rounded(mean_over_defined([f.auprc for f in figures.values()])),
        "intervals": {
            "confidence": CONFIDENCE,
            "resampled": "patients",
            "draws": context.bootstrap,
            "draws_with_every_finding": intervals.mean_draws,
            "seed": context.seed,
        },
        **calibrating_report(
            predictions,
            context.val,
            context.recalibration,
            part=context.split,
            with_intervals=context.bootstrap > 0,
            train_prevalence=context.train_prevalence,
        ),
        "subgroups": subgroup_report(
            as_shown,
            measured.patients_N,
            context.attributes,
            {name: of["operating_point"]["threshold"] for name, of in findings.items()},
            with_intervals=context.bootstrap > 0,
        ),
        "table_alone": table_report(context.table_alone, measured.above_table),
        "operating_point": str(measured.rule),
        "reference": _reference_report(measured.reference),
        "labels_note": context.labels_note,
        "label_policy": list(context.label_policy),
        "warnings": [
            *context.extra_warnings,
            *report_warnings(
                predictions,
                measured.figures,
                intervals,
                part=context.split,
                dataset_share=context.dataset_share,
            ),
            *([shown] if (shown := measured.reference and measured.reference.warning) else []),
        ],
    }
    if context.prevalence:
        report["at_prevalence"] = prevalence_report(
            report, predictions, context.recalibration, context.prevalence
        )
    return report


def _measure(predictions: Predictions, context: EvaluationContext) -> _Measured:
    # Settings first: a wrong one is refused before anything is computed.
    rule = parse_rule(context.operating_point)
    reference = reference_for(
        context.reference,
        context.split_kind,
        part=context.split,
        num_images=len(predictions.images),
        label_table=context.label_table,
        official_part=context.official_part,
    )
    labels_NF, scores_NF = predictions.labels_NF, predictions.scores_NF
    patients_N = patients_or_images(predictions)
    figures = {
        finding: finding_figures(
            labels_NF[:, column], scores_NF[:, column], patients_N, context.split
        )
        for column, finding in enumerate(predictions.findings)
    }
    intervals = patient_bootstrap(
        labels_NF, scores_NF, patients_N, draws=context.bootstrap, seed=context.seed
    )
    above_table = above_the_table(
        predictions, context.table_alone if context.bootstrap else None, patients_N
    )
    return _Measured(patients_N, figures, intervals, above_table, rule, reference)


def _finding_report(
    predictions: Predictions, context: EvaluationContext, measured: _Measured, column: int
) -> dict[str, Any]:
    finding = predictions.findings[column]
    figures, intervals = measured.figures[finding], measured.intervals
    one = OneFinding(
        predictions.labels_NF[:, column],
        predictions.scores_NF[:, column],
        measured.patients_N,
        context.weights,
        with_intervals=context.bootstrap > 0,
    )
    reason = intervals.reasons_F[column] if figures.auroc is not None else None
    notes = [*figures.notes, *([reason] if reason else [])]
    shown = (measured.reference.auroc_by_finding or {}) if measured.reference else {}
    natural = (context.natural_prevalence or {}).get(finding)
    return {
        "positives": figures.positives,
        "negatives": figures.negatives,
        "positive_patients": figures.positive_patients,
        "effective_positive_patients": round(intervals.effective_F[column], 1),
        "prevalence": rounded(figures.prevalence),
        "auroc": rounded(figures.auroc),
        "auroc_ci": rounded_interval(intervals.auroc_F[column]),
        "auprc": rounded(figures.auprc),
        "auprc_ci": rounded_interval(intervals.auprc_F[column]),
        **natural_figures(one, natural),
        **by_view(one, context.views),
        **finding_beside_table(finding, column, one, context.table_alone, measured.above_table),
        "reference_auroc": shown.get(finding),
        "operating_point": carried_over(
            operating_point(measured.rule, finding, one, context.val),
            finding,
            context.recalibration,
        ),
        "note": "; ".join(notes) or None,
    }


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
        "mean_auroc": rounded(float(np.mean(list(shown.values())))) if shown else None,
        "note": reference.warning,
    }
