"""Health in reports: checks of an evaluation's scores, labels and figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.data.study.study import Study
from core.evaluation.part_report import report_of_file, report_of_session
from core.evaluation.predictions import Predictions, read_predictions
from core.health.diagnosis import Diagnosis
from core.health.figures import check_figures
from core.health.scored_labels import check_scored_labels, were_mined
from core.health.scores import SCORE_CHECKS, check_our_scores, check_scores
from core.recipe import EvaluateSettings
from core.store.ledger import part_of_images
from core.store.session import Session

_FOLLOWS = ("subgroup-gap", "probabilities-off")
"""Checks of figures that any mistake in the scores sets off as well."""


def health_report_of_session(
    session: Session,
    part: str,
    cache: Path,
    *,
    study: Study | None = None,
    settings: EvaluateSettings | None = None,
    prevalence: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The figures of a session's part, as in ``report_of_session``, with health checks.

    Raises:
        DataError: the part has no predictions yet, or the label table has changed.
    """
    report = report_of_session(
        session, part, cache, study=study, settings=settings, prevalence=prevalence
    )
    predictions = read_predictions(session.predictions / f"{part}.csv")
    return _with_health(report, check_our_scores(predictions))


def health_report_of_file(
    predictions: Path,
    labels: Path,
    settings: EvaluateSettings,
    *,
    test_list: Path | None,
    prevalence: tuple[str, ...] = (),
) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """The figures of a predictions file, as in ``report_of_file``, with health checks.

    Returns:
        The report, the names of ignored columns, and the fingerprint of the images scored.

    Raises:
        DataError: see ``join_predictions`` and ``read_label_table``.
    """
    report, joined, table = report_of_file(
        predictions, labels, settings, test_list=test_list, prevalence=prevalence
    )
    found = [
        *check_scores(
            joined.predictions,
            filed=joined.filed,
            no_finding=joined.no_finding,
            labels_were_mined=were_mined(table),
        ),
        *check_scored_labels(joined, table),
    ]
    part = part_of_images(map(str, joined.predictions.images))
    return _with_health(report, found), joined.ignored_columns, part


def health_report_of_external(predictions: Predictions, report: dict[str, Any]) -> dict[str, Any]:
    """The figures of another data set, as in ``external_report``, with health checks."""
    return _with_health(report, check_our_scores(predictions))


def _with_health(report: dict[str, Any], found: Iterable[Diagnosis]) -> dict[str, Any]:
    """The report with ``health``: a list of diagnoses, empty if nothing is wrong.

    What spoilt scores bring about is no news beside the mistake itself.
    """
    of_scores = list(found)
    spoilt = {answer.check for answer in of_scores} & set(SCORE_CHECKS)
    of_figures = [one for one in check_figures(report) if not (spoilt and one.check in _FOLLOWS)]
    answers = [*of_scores, *of_figures]
    return {**report, "health": [answer.as_json() for answer in answers]}
