"""``calibration`` and ``decision_curve`` of a report, as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.calibration import calibration_figures
from core.evaluation.calibrating.calibration_json import calibration_json
from core.evaluation.calibrating.decision_curve import DecisionCurve, decision_curve
from core.evaluation.calibrating.patient_sums import Estimate
from core.evaluation.calibrating.prevalence import (
    at_prevalence,
    judged_of,
    parse_prevalence,
    right_at,
)
from core.evaluation.calibrating.recalibration import Recalibration
from core.evaluation.finding_report import patients_or_images, rounded, rounded_interval
from core.evaluation.predictions import Predictions
from core.findings import PRESENT


def calibrating_report(
    predictions: Predictions,
    val: Predictions | None,
    recalibration: Recalibration | None,
    *,
    part: str,
    with_intervals: bool,
    train_prevalence: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """``calibration``, ``decision_curve`` and ``recalibration``.

    Args:
        predictions: the network's own probabilities.
        val: those on val, whose prevalence says whether recalibration can help here.
        recalibration: what they go through; ``recalibration.before`` has the figures without it.
        part: the part scored.
        train_prevalence: of each finding, if known: where a network's own probabilities are right.
    """
    scored = predictions if recalibration is None else recalibration.predictions(predictions)
    calibration = calibration_report(scored, with_intervals=with_intervals)
    of_val = _prevalences(val) if part != "val" else {}
    for finding, figures in calibration.items():
        figures["val_prevalence"] = of_val.get(finding)
        figures["train_prevalence"] = rounded((train_prevalence or {}).get(finding))
    found: dict[str, Any] = {
        "calibration": calibration,
        "decision_curve": decision_report(scored, with_intervals=with_intervals),
        "recalibration": None,
    }
    if recalibration is not None:
        found["recalibration"] = {
            "method": recalibration.method,
            "fitted_on": "val",
            "findings": [name for name in predictions.findings if name in recalibration.maps],
            "notes": {
                name: note
                for name, note in recalibration.notes.items()
                if name in predictions.findings
            },
            "before": calibration_report(predictions, with_intervals=with_intervals),
        }
    return found


def carried_over(
    point: dict[str, Any], finding: str, recalibration: Recalibration | None
) -> dict[str, Any]:
    """An operating point with its threshold on the scale shown; it calls the same images.

    ``threshold_raw`` is on the scale of the saved predictions.
    """
    if recalibration is None or point["threshold"] is None:
        return point
    raw = point["threshold"]
    return {**point, "threshold": recalibration.threshold(finding, raw), "threshold_raw": raw}


def prevalence_report(
    report: Mapping[str, Any],
    predictions: Predictions,
    recalibration: Recalibration | None,
    given: Sequence[str],
) -> dict[str, Any]:
    """``at_prevalence``: finding -> what its calls and probabilities are worth there.

    Args:
        report: with its findings and calibration.
        given: ``FINDING=SHARE`` each.

    Raises:
        UsageError: no such finding, or no share between 0 and 1.
    """
    scored = predictions if recalibration is None else recalibration.predictions(predictions)
    patients_N = patients_or_images(scored)
    found: dict[str, Any] = {}
    for finding, share in parse_prevalence(given, predictions.findings).items():
        column = predictions.findings.index(finding)
        judged = judged_of(
            scored.labels_NF[:, column],
            scored.scores_NF[:, column],
            patients_N,
            threshold=report["findings"][finding]["operating_point"]["threshold"],
            right_at=right_at(
                report["calibration"][finding],
                is_recalibrated=recalibration is not None and finding in recalibration.maps,
            ),
            part=report["split"],
        )
        found[finding] = (
            {"prevalence": share, "note": "one class is missing, or these are no probabilities"}
            if judged is None
            else at_prevalence(judged, share)
        )
    return found


def _prevalences(val: Predictions | None) -> dict[str, float | None]:
    if val is None:
        return {}
    known_NF = ~np.isnan(val.labels_NF)
    return {
        finding: rounded(float((val.labels_NF[known_NF[:, column], column] == PRESENT).mean()))
        for column, finding in enumerate(val.findings)
        if known_NF[:, column].any()
    }


def calibration_report(predictions: Predictions, *, with_intervals: bool) -> dict[str, Any]:
    """Finding -> its calibration; see ``core.evaluation.calibrating.calibration``."""
    return _of_each(
        predictions,
        lambda labels_N, scores_N, patients_N: calibration_json(
            calibration_figures(labels_N, scores_N, patients_N), with_intervals=with_intervals
        ),
    )


def decision_report(predictions: Predictions, *, with_intervals: bool) -> dict[str, Any]:
    """Finding -> its decision curve; see ``core.evaluation.calibrating.decision_curve``."""
    return _of_each(
        predictions,
        lambda labels_N, scores_N, patients_N: _decision_json(
            decision_curve(labels_N, scores_N, patients_N), with_intervals=with_intervals
        ),
    )


def _decision_json(curve: DecisionCurve, *, with_intervals: bool) -> dict[str, Any]:
    def ends(estimates: tuple[Estimate, ...]) -> list[list[float] | None]:
        return [rounded_interval(one.interval) if with_intervals else None for one in estimates]

    return {
        "thresholds": list(curve.thresholds_T),
        "net_benefit": [rounded(one.value) for one in curve.model_T],
        "net_benefit_ci": ends(curve.model_T),
        "treat_all": [rounded(value) for value in curve.treat_all_T],
        "treat_none": 0.0,
        "gain": [rounded(one.value) for one in curve.gain_T],
        "gain_ci": ends(curve.gain_T),
        "note": curve.note,
    }


def _of_each(
    predictions: Predictions,
    of_one: Callable[[NDArray[Any], NDArray[Any], NDArray[np.int64]], dict[str, Any]],
) -> dict[str, Any]:
    patients_N = patients_or_images(predictions)
    return {
        finding: of_one(
            predictions.labels_NF[:, column], predictions.scores_NF[:, column], patients_N
        )
        for column, finding in enumerate(predictions.findings)
    }
