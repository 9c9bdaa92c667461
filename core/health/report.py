"""Health in reports: what scores and figures of an evaluation give away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.data.study import Study
from core.evaluation.part_report import report_of_session
from core.evaluation.predictions import Predictions, read_predictions
from core.health.figures import check_figures
from core.health.scores import check_scores
from core.store.session import Session


def with_health(
    report: Mapping[str, Any], predictions: Predictions, *, are_ours: bool = False
) -> dict[str, Any]:
    """The report with ``health``: a list of answers, empty where all is well.

    ``are_ours``: the predictions are a session's, which nobody has cut.
    """
    found = [*check_scores(predictions, are_ours=are_ours), *check_figures(report)]
    return {**report, "health": [answer.as_json() for answer in found]}


def health_report_of_session(
    session: Session, part: str, cache: Path, *, study: Study | None = None
) -> dict[str, Any]:
    """The figures of a part that a session kept, as ``report_of_session``, with its health.

    Raises:
        DataError: there are no predictions of this part yet, or the table has changed.
    """
    report = report_of_session(session, part, cache, study=study)
    predictions = read_predictions(session.predictions / f"{part}.csv")
    return with_health(report, predictions, are_ours=True)
