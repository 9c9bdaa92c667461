"""Figures that a session's test.json lacks because an earlier version wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.data.study.study import Study
from core.document.values import number, table
from core.evaluation.calibrating.calibration_report import calibration_report, decision_report
from core.evaluation.finding_report import patients_or_images
from core.evaluation.predictions import Predictions
from core.evaluation.subgroups.groups import attributes_of
from core.evaluation.subgroups.subgroup_report import subgroup_report


def with_later_figures(
    report: Mapping[str, Any], predictions: Predictions | None, study: Study | None
) -> dict[str, Any]:
    """The report with ``calibration``, ``decision_curve`` and ``subgroups``, as far as possible.

    What is there stays as it is; nothing is written to the session.

    Args:
        predictions: the test part's.
        study: the session's data set, which knows sex, age and view; None: without subgroups.
    """
    whole = dict(report)
    if predictions is None:
        return whole
    if "calibration" not in whole:
        whole["calibration"] = calibration_report(predictions, with_intervals=True)
    if "decision_curve" not in whole:
        whole["decision_curve"] = decision_report(predictions, with_intervals=True)
    if "subgroups" not in whole and study is not None:
        whole["subgroups"] = _subgroups(whole, predictions, study)
    return whole


def _subgroups(
    report: Mapping[str, Any], predictions: Predictions, study: Study
) -> list[dict[str, Any]]:
    row_of = {name: row for row, name in enumerate(study.index.images)}
    rows = [row_of.get(name) for name in predictions.images]
    if None in rows:  # another table than that of the session
        return []
    findings = table(report.get("findings"))
    return subgroup_report(
        predictions,
        patients_or_images(predictions),
        attributes_of(study.index.table.take(np.asarray(rows, dtype=np.int64))),
        {name: _threshold(findings, name) for name in predictions.findings},
        with_intervals=True,
    )


def _threshold(findings: Mapping[str, Any], name: str) -> float | None:
    return number(table(table(findings.get(name)).get("operating_point")).get("threshold"))
