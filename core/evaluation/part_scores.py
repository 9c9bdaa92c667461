"""The scores of one part of a session, with their curves; imports no Textual.

Reading takes a moment, so it belongs on a thread. The engine is imported there, since numpy would
delay the first paint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.report_shape import PartReport, ReportedFigures, ReportedPoint

if TYPE_CHECKING:
    from core.evaluation.calibrating.recalibration import Recalibration
    from core.evaluation.curves import Calibration, RocCurve, ScoreSpread
    from core.evaluation.predictions import Predictions
    from core.store.session import Session

MOST_WRONG = 100
"""Number of images listed as errors, of either kind."""

BY_HAND = "by hand"
"""Name used instead of a rule if the user set the threshold."""


@dataclass(frozen=True)
class FindingCurves:
    """Curves of one finding; None if the labels don't allow it."""

    roc: RocCurve | None
    calibration: Calibration | None
    spread: ScoreSpread | None


@dataclass(frozen=True)
class PartScores:
    """The predictions of a part and those on val, on which thresholds are chosen.

    ``predictions`` and ``curves`` are recalibrated if the session is; ``val`` is as saved.
    """

    part: str
    predictions: Predictions
    val: Predictions | None
    curves: Mapping[str, FindingCurves]
    recalibration: Recalibration | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and its results on the part shown; ``note`` says why there is none.

    ``intervals`` are of the four shares by their names with ``_ci``, as in a report.
    """

    rule: str
    threshold: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    ppv: float | None = None
    npv: float | None = None
    ppv_natural: float | None = None
    npv_natural: float | None = None
    called: int | None = None
    note: str | None = None
    intervals: Mapping[str, Sequence[float] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class WrongImage:
    """An image with a wrong score; ``others`` are its other findings."""

    image: str
    patient: int | None
    score: float
    label: int
    others: tuple[str, ...]


@dataclass
class Reading:
    """Settings for reading the figures: the part, a published column, a threshold.

    ``reference`` and ``rule`` are None for the recipe's own; ``by_hand`` holds thresholds set for
    single findings.
    """

    part: str = "test"
    reference: str | None = None
    rule: str | None = None
    by_hand: dict[str, float] = field(default_factory=dict)

    def take_threshold(self, answer: str | float, finding: str) -> None:
        """Set a threshold for one finding, or a rule for all; an empty rule is the recipe's own."""
        if isinstance(answer, float):
            self.by_hand[finding] = answer
        else:
            self.rule = answer or None
            self.by_hand.clear()


def read_part_scores(session: Session, part: str) -> PartScores:
    """Read a part's predictions and compute its curves.

    Raises:
        DataError: the file is missing or isn't a predictions file.
        RunFailedError: a score is not finite.
    """
    from core.evaluation.calibrating.kept_recalibration import recalibration_of
    from core.evaluation.curves import calibration, roc_curve, score_spread
    from core.evaluation.predictions import read_predictions

    predictions = read_predictions(session.predictions_of(part))
    val_path = session.predictions / "val.csv"
    if part == "val":
        val: Predictions | None = predictions
    else:
        val = read_predictions(val_path) if val_path.is_file() else None
    recalibration = recalibration_of(session, val=val)
    if recalibration is not None:
        predictions = recalibration.predictions(predictions)
    curves = {}
    for column, finding in enumerate(predictions.findings):
        labels_N, scores_N = predictions.labels_NF[:, column], predictions.scores_NF[:, column]
        curves[finding] = FindingCurves(
            roc=roc_curve(labels_N, scores_N),
            calibration=calibration(labels_N, scores_N),
            spread=score_spread(labels_N, scores_N),
        )
    return PartScores(part, predictions, val, curves, recalibration)


def reported_point(rule: str, reported: ReportedPoint) -> OperatingPoint:
    """The operating point in a report."""
    counts = reported.counts
    return OperatingPoint(
        rule,
        reported.threshold,
        reported.sensitivity,
        reported.specificity,
        reported.ppv,
        reported.npv,
        reported.ppv_natural,
        reported.npv_natural,
        called=counts.true_positives + counts.false_positives if counts else None,
        note=reported.note or None,
        intervals={
            "sensitivity_ci": reported.sensitivity_ci,
            "specificity_ci": reported.specificity_ci,
            "ppv_ci": reported.ppv_ci,
            "npv_ci": reported.npv_ci,
        },
    )


def chosen_point(
    report: PartReport, finding: str, scores: PartScores | None, reading: Reading
) -> OperatingPoint:
    """The operating point of a finding under the current reading."""
    own_rule = report.operating_point
    by_hand = reading.by_hand.get(finding)
    if by_hand is None and reading.rule is None:
        figures = report.findings.get(finding, ReportedFigures())
        return reported_point(own_rule, figures.operating_point)
    if scores is None:
        rule = BY_HAND if reading.rule is None else reading.rule
        return OperatingPoint(rule, note="the predictions are being read")
    if by_hand is not None:
        return point_at(scores, finding, by_hand, BY_HAND)
    return point_by_rule(scores, finding, reading.rule or own_rule)


def point_by_rule(scores: PartScores, finding: str, rule_text: str) -> OperatingPoint:
    """The threshold that another rule chooses on val, and its results on the part shown.

    Raises:
        RecipeError: no such rule.
    """
    from core.evaluation.operating_points import choose_threshold, parse_rule

    rule = parse_rule(rule_text)
    val = scores.val
    if val is None or finding not in val.findings:
        note = "no predictions on val, so no threshold can be chosen"
        return OperatingPoint(str(rule), note=note)
    column = val.findings.index(finding)
    chosen = choose_threshold(rule, val.labels_NF[:, column], val.scores_NF[:, column])
    if chosen.value is None:
        return OperatingPoint(str(rule), note=chosen.reason)
    threshold = chosen.value
    if scores.recalibration is not None:
        threshold = scores.recalibration.threshold(finding, threshold)
    return point_at(scores, finding, threshold, str(rule))


def point_at(scores: PartScores, finding: str, threshold: float, rule: str) -> OperatingPoint:
    """A threshold's results on the part shown."""
    from core.evaluation.finding_report import patients_or_images, share_intervals
    from core.evaluation.operating_points import called_counts

    column = scores.predictions.findings.index(finding)
    labels_N = scores.predictions.labels_NF[:, column]
    scores_N = scores.predictions.scores_NF[:, column]
    counts = called_counts(threshold, labels_N, scores_N)
    patients_N = patients_or_images(scores.predictions)
    return OperatingPoint(
        rule=rule,
        threshold=threshold,
        sensitivity=counts.sensitivity,
        specificity=counts.specificity,
        ppv=counts.ppv,
        npv=counts.npv,
        called=counts.true_positives + counts.false_positives,
        intervals=share_intervals(threshold, labels_N, scores_N, patients_N),
    )


def checked_threshold(text: str) -> str | float:
    """A rule in canonical spelling, or a threshold between 0 and 1; an empty text is the recipe's
    rule.

    Raises:
        RecipeError: neither.
    """
    from core.errors import RecipeError
    from core.evaluation.operating_points import parse_rule

    try:
        value = float(text)
    except ValueError:
        return str(parse_rule(text)) if text.strip() else ""
    if 0 <= value <= 1:
        return value
    raise RecipeError(f"a threshold lies between 0 and 1, got {text.strip()}")


def wrong_images(scores: PartScores, finding: str) -> tuple[list[WrongImage], list[WrongImage]]:
    """The highest-scored negatives and the lowest-scored positives, the worst first."""
    from core.evaluation.curves import most_wrong

    predictions = scores.predictions
    column = predictions.findings.index(finding)
    rows = most_wrong(
        predictions.labels_NF[:, column], predictions.scores_NF[:, column], MOST_WRONG
    )
    highest, lowest = ([_wrong(predictions, column, int(row)) for row in kind] for kind in rows)
    return highest, lowest


def _wrong(predictions: Predictions, column: int, row: int) -> WrongImage:
    from core.evaluation.score_table import UNKNOWN_PATIENT
    from core.findings import PRESENT

    patient = int(predictions.patients[row])
    return WrongImage(
        image=str(predictions.images[row]),
        patient=None if patient == UNKNOWN_PATIENT else patient,
        score=float(predictions.scores_NF[row, column]),
        label=int(predictions.labels_NF[row, column]),
        others=tuple(
            name
            for other, name in enumerate(predictions.findings)
            if other != column and predictions.labels_NF[row, other] == PRESENT
        ),
    )
