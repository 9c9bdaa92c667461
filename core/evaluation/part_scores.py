"""The scores of one part of a session, with what is drawn of them; imports no Textual.

Reading takes a moment: on a thread. What it needs of the engine is imported there, since
numpy is not worth waiting for before the first paint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.evaluation.curves import Calibration, RocCurve, ScoreSpread
    from core.evaluation.predictions import Predictions
    from core.store.session import Session

MOST_WRONG = 100
"""Images listed by error, of either kind."""

BY_HAND = "by hand"
"""In place of a rule, where the threshold was set by the reader."""


@dataclass(frozen=True)
class FindingCurves:
    """What is drawn of one finding; None where the labels don't allow it."""

    roc: RocCurve | None
    calibration: Calibration | None
    spread: ScoreSpread | None


@dataclass(frozen=True)
class PartScores:
    """The predictions of a part, beside those on val, on which thresholds are chosen."""

    part: str
    predictions: Predictions
    val: Predictions | None
    curves: Mapping[str, FindingCurves]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does on the part shown; ``note`` says why there is none.

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
    """An image that the scores get wrong; ``others`` are its other findings."""

    image: str
    patient: int | None
    score: float
    label: int
    others: tuple[str, ...]


@dataclass
class Reading:
    """How the figures are read: the part, another published column, another threshold.

    ``reference`` and ``rule`` are the recipe's own where None; ``by_hand`` holds thresholds that
    were set for single findings.
    """

    part: str = "test"
    reference: str | None = None
    rule: str | None = None
    by_hand: dict[str, float] = field(default_factory=dict)

    def take_threshold(self, answer: str | float, finding: str) -> None:
        """A value holds for one finding; a rule for all, and an empty one is the recipe's own."""
        if isinstance(answer, float):
            self.by_hand[finding] = answer
        else:
            self.rule = answer or None
            self.by_hand.clear()


def read_part_scores(session: Session, part: str) -> PartScores:
    """Read a part's predictions and work out its curves.

    Raises:
        DataError: the file is missing or isn't a predictions file.
        RunFailedError: a score is not finite.
    """
    from core.evaluation.curves import calibration, roc_curve, score_spread
    from core.evaluation.predictions import read_predictions

    predictions = read_predictions(session.predictions / f"{part}.csv")
    val_path = session.predictions / "val.csv"
    if part == "val":
        val: Predictions | None = predictions
    else:
        val = read_predictions(val_path) if val_path.is_file() else None
    curves = {}
    for column, finding in enumerate(predictions.findings):
        labels_N, scores_N = predictions.labels_NF[:, column], predictions.scores_NF[:, column]
        curves[finding] = FindingCurves(
            roc=roc_curve(labels_N, scores_N),
            calibration=calibration(labels_N, scores_N),
            spread=score_spread(labels_N, scores_N),
        )
    return PartScores(part, predictions, val, curves)


def reported_point(rule: str, reported: Mapping[str, Any]) -> OperatingPoint:
    """The operating point that a report holds."""
    counts = reported.get("counts") or {}
    keys = ("threshold", "sensitivity", "specificity", "ppv", "npv", "ppv_natural", "npv_natural")
    return OperatingPoint(
        rule=rule,
        called=counts["true_positives"] + counts["false_positives"] if counts else None,
        intervals={key: ends for key, ends in reported.items() if key.endswith("_ci")},
        note=reported.get("note"),
        **{key: reported.get(key) for key in keys},
    )


def chosen_point(
    report: Mapping[str, Any], finding: str, scores: PartScores | None, reading: Reading
) -> OperatingPoint:
    """The operating point of a finding as it is to be read."""
    own_rule = str(report.get("operating_point"))
    by_hand = reading.by_hand.get(finding)
    if by_hand is None and reading.rule is None:
        figures = (report.get("findings") or {}).get(finding) or {}
        return reported_point(own_rule, figures.get("operating_point") or {})
    if scores is None:
        rule = BY_HAND if reading.rule is None else reading.rule
        return OperatingPoint(rule, note="the predictions are being read")
    if by_hand is not None:
        return point_at(scores, finding, by_hand, BY_HAND)
    return point_by_rule(scores, finding, reading.rule or own_rule)


def point_by_rule(scores: PartScores, finding: str, rule_text: str) -> OperatingPoint:
    """The threshold that another rule chooses on val, and what it does on the part shown.

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
    return point_at(scores, finding, chosen.value, str(rule))


def point_at(scores: PartScores, finding: str, threshold: float, rule: str) -> OperatingPoint:
    """What a threshold does on the part shown."""
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
    """A rule's own spelling, or a threshold between 0 and 1; an empty text is the recipe's rule.

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
