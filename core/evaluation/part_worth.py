"""What a finding's calls are worth at a prevalence, from the scores of a part; no Textual.

As in ``core.evaluation.part_scores`` the engine is imported where it is used.
"""

from __future__ import annotations

from core.evaluation.part_scores import PartScores
from core.report_shape import (
    PartReport,
    ReportedCalibration,
    ReportedDecision,
    ReportedElsewhere,
)


def checked_share(text: str) -> float:
    """A prevalence between 0 and 1.

    Raises:
        ValueError: it is none.
    """
    share = float(text)
    if not 0 < share < 1:
        raise ValueError("a prevalence lies between 0 and 1")
    return share


def worth_at(
    report: PartReport,
    scores: PartScores,
    finding: str,
    threshold: float | None,
    prevalence: float,
) -> ReportedElsewhere | None:
    """PPV, NPV and alarms there and on this part; None if the finding lacks a class.

    Args:
        threshold: on the scale of the scores shown.
        prevalence: between 0 and 1.
    """
    from core.evaluation.calibrating.prevalence import at_prevalence, judged_of, right_at
    from core.evaluation.finding_report import patients_or_images

    predictions, recalibration = scores.predictions, scores.recalibration
    column = predictions.findings.index(finding)
    of_parts = report.calibration.get(finding, ReportedCalibration()).model_dump(
        include={"val_prevalence", "train_prevalence"}
    )
    is_recalibrated = recalibration is not None and finding in recalibration.maps
    judged = judged_of(
        predictions.labels_NF[:, column],
        predictions.scores_NF[:, column],
        patients_or_images(predictions),
        threshold=threshold,
        right_at=right_at(of_parts, is_recalibrated=is_recalibrated),
        part=scores.part,
    )
    if judged is None:
        return None
    return ReportedElsewhere.model_validate(at_prevalence(judged, prevalence))


def calibration_at_hand(
    report: PartReport, scores: PartScores | None, finding: str
) -> tuple[ReportedCalibration, ReportedDecision]:
    """A finding's calibration and decision curve: the report's, or, if it is older than these, from
    the scores.
    """
    if finding in report.calibration and finding in report.decision_curve:
        return report.calibration[finding], report.decision_curve[finding]
    if scores is None:
        return ReportedCalibration(), ReportedDecision()
    from core.evaluation.calibrating.calibration_report import calibration_report, decision_report
    from core.evaluation.predictions import only

    one = only(scores.predictions, [finding])
    return (
        ReportedCalibration.model_validate(calibration_report(one, with_intervals=True)[finding]),
        ReportedDecision.model_validate(decision_report(one, with_intervals=True)[finding]),
    )
