"""The network's AUROC compared with that of the label table alone, on the same images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.finding_report import OneFinding, rounded, rounded_interval
from core.evaluation.placements import Gain, gains, mean_interval, place_findings
from core.evaluation.predictions import Predictions
from core.evaluation.table_baseline import TableAlone


@dataclass(frozen=True)
class AboveTable:
    """The network's AUROC above that of the label table alone, on the same images.

    Attributes:
        of_finding: the gain of each finding; empty if the table has no scores.
        mean: over the findings that have an interval.
        mean_auroc_ci: of the table's own mean.
    """

    of_finding: dict[str, Gain]
    mean: Gain
    mean_auroc_ci: list[float] | None


def above_the_table(
    predictions: Predictions, table: TableAlone | None, patients_N: NDArray[np.int64]
) -> AboveTable:
    """The gain of the network's scores over the table's; empty if the table has none."""
    table_NF = table.scores_MF if table else None
    if table_NF is None:
        return AboveTable({}, Gain(None, None), None)
    # A finding that the table could not be fitted on is left out, as if its labels were unknown.
    labels_NF = np.where(np.isnan(table_NF), np.nan, predictions.labels_NF)
    each, mean = gains(labels_NF, np.nan_to_num(table_NF), predictions.scores_NF, patients_N)
    placed = place_findings(labels_NF, np.nan_to_num(table_NF), patients_N)
    return AboveTable(
        dict(zip(predictions.findings, each, strict=True)),
        mean,
        rounded_interval(mean_interval([one for one in placed if one is not None])),
    )


def finding_beside_table(
    finding: str,
    column: int,
    one: OneFinding,
    table: TableAlone | None,
    above: AboveTable,
) -> dict[str, Any]:
    """One finding's keys of the report, null if the table has no score."""
    area = table.auroc_by_finding.get(finding) if table else None
    interval = None
    if table is not None and table.scores_MF is not None and area is not None:
        _, interval = replace(one, scores_N=table.scores_MF[:, column]).auroc_and_interval()
    gain = above.of_finding.get(finding, Gain(None, None))
    return {
        "table_alone_auroc": rounded(area),
        "table_alone_auroc_ci": interval,
        "auroc_above_table": rounded(gain.value),
        "auroc_above_table_ci": rounded_interval(gain.interval),
    }


def table_report(table: TableAlone | None, above: AboveTable) -> dict[str, Any]:
    """The report's ``table_alone``."""
    return {
        "mean_auroc": rounded(table.mean) if table else None,
        "mean_auroc_ci": above.mean_auroc_ci,
        "mean_auroc_above": rounded(above.mean.value),
        "mean_auroc_above_ci": rounded_interval(above.mean.interval),
        "note": table.reason if table else "not computed",
        "columns": list(table.columns) if table else [],
    }
