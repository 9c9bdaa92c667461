"""What a call is worth: its threshold, chosen on val, and PPV and NPV at a stated prevalence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.prevalence import predictive_values
from core.evaluation.calibrating.recalibration import Recalibration
from core.evaluation.operating_points import called_counts, choose_threshold, parse_rule
from core.evaluation.predictions import Predictions, read_predictions
from core.findings import PRESENT
from core.store.files import is_file
from core.store.session import Session

Measured = Literal["test", "val"]


@dataclass(frozen=True)
class CallPoint:
    """One finding's operating point; None where it is undefined, and ``note`` says why.

    Attributes:
        threshold: an image is called if its probability is at or above it.
        sensitivity, specificity: measured on ``measured_on``.
        prevalence: of that part, or the one given.
        ppv, npv: at that prevalence, by Bayes' rule.
    """

    threshold: float | None = None
    measured_on: Measured | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    prevalence: float | None = None
    is_given: bool = False
    ppv: float | None = None
    npv: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "threshold": self.threshold,
            "sensitivity": _rounded(self.sensitivity),
            "specificity": _rounded(self.specificity),
            "measured_on": self.measured_on,
            "prevalence": _rounded(self.prevalence),
            "prevalence_given": self.is_given,
            "ppv": _rounded(self.ppv),
            "npv": _rounded(self.npv),
            "note": self.note or None,
        }


def call_points(
    session: Session,
    findings: Sequence[str],
    given: Mapping[str, float],
    recalibration: Recalibration | None = None,
) -> dict[str, CallPoint]:
    """The point of each finding, from the session's own predictions.

    Thresholds are on the scale of recalibrated probabilities, if there is a recalibration; they
    call the same images.

    Raises:
        DataError: a predictions file of the session is damaged.
    """
    val, test = _predictions(session, "val"), _predictions(session, "test")
    rule_text = session.recipe.evaluate.operating_point
    points: dict[str, CallPoint] = {}
    for finding in findings:
        if val is None or finding not in val.findings:
            points[finding] = CallPoint(note="no predictions on val, so no threshold can be chosen")
            continue
        chosen = choose_threshold(parse_rule(rule_text), *_of(val, finding))
        if chosen.value is None:
            points[finding] = CallPoint(note=chosen.reason or "")
            continue
        on_test = _measured("test", test, finding, chosen.value, given)
        points[finding] = (
            on_test
            or _measured("val", val, finding, chosen.value, given)
            or (CallPoint(chosen.value, note="neither test nor val has images of both kinds"))
        )
    if recalibration is None:
        return points
    return {name: _carried_over(name, point, recalibration) for name, point in points.items()}


def _carried_over(finding: str, point: CallPoint, recalibration: Recalibration) -> CallPoint:
    if point.threshold is None:
        return point
    return replace(point, threshold=recalibration.threshold(finding, point.threshold))


def _measured(
    part: Measured,
    predictions: Predictions | None,
    finding: str,
    threshold: float,
    given: Mapping[str, float],
) -> CallPoint | None:
    if predictions is None or finding not in predictions.findings:
        return None
    labels_N, scores_N = _of(predictions, finding)
    counts = called_counts(threshold, labels_N, scores_N)
    sensitivity, specificity = counts.sensitivity, counts.specificity
    if sensitivity is None or specificity is None:
        return None
    known_N = labels_N[~np.isnan(labels_N)]
    prevalence = given.get(finding, float((known_N == PRESENT).mean()))
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    note = "" if part == "test" else "no test figures yet: measured on val, which chose it"
    return CallPoint(
        *(threshold, part, sensitivity, specificity, prevalence, finding in given, ppv, npv, note)
    )


def _predictions(session: Session, part: str) -> Predictions | None:
    path = session.predictions / f"{part}.csv"
    return read_predictions(path) if is_file(path) else None


def _of(predictions: Predictions, finding: str) -> tuple[NDArray[Any], NDArray[Any]]:
    column = predictions.findings.index(finding)
    return predictions.labels_NF[:, column], predictions.scores_NF[:, column]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
