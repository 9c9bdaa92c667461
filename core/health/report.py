"""Health in reports: what scores, labels and figures of an evaluation give away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.data.study.study import Study
from core.evaluation.part_report import report_of_file, report_of_session
from core.evaluation.predictions import read_predictions
from core.health.diagnosis import Diagnosis
from core.health.figures import check_figures
from core.health.scored_labels import check_scored_labels, were_mined
from core.health.scores import check_our_scores, check_scores
from core.recipe import EvaluateSettings
from core.store.session import Session


def health_report_of_session(
    session: Session,
    part: str,
    cache: Path,
    *,
    study: Study | None = None,
    settings: EvaluateSettings | None = None,
) -> dict[str, Any]:
    """The figures of a part that a session kept, as ``report_of_session``, with its health.

    Raises:
        DataError: there are no predictions of this part yet, or the table has changed.
    """
    report = report_of_session(session, part, cache, study=study, settings=settings)
    predictions = read_predictions(session.predictions / f"{part}.csv")
    return _with_health(report, check_our_scores(predictions))


def health_report_of_file(
    predictions: Path, labels: Path, settings: EvaluateSettings, *, test_list: Path | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The figures of anybody's predictions, as ``report_of_file``, with their health.

    Returns:
        The report, and the columns that were ignored.

    Raises:
        DataError: see ``join_predictions`` and ``read_label_table``.
    """
    report, joined, table = report_of_file(predictions, labels, settings, test_list=test_list)
    found = [
        *check_scores(
            joined.predictions,
            filed=joined.filed,
            no_finding=joined.no_finding,
            labels_were_mined=were_mined(table),
        ),
        *check_scored_labels(joined, table),
    ]
    return _with_health(report, found), joined.ignored_columns


def _with_health(report: dict[str, Any], found: Iterable[Diagnosis]) -> dict[str, Any]:
    """The report with ``health``: a list of answers, empty where all is well."""
    answers = [*found, *check_figures(report)]
    return {**report, "health": [answer.as_json() for answer in answers]}
