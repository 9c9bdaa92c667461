"""A report's gaps between groups and the rest as a data frame, one row a gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.evaluation.subgroups.subgroup_report import UNDERDIAGNOSIS

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = ("value", "rest", "gap", "gap_low", "gap_high", "p", "p_holm", "matched")


def gaps_of(report: Mapping[str, Any]) -> DataFrame:
    """Every gap of a report's ``subgroups``; the index is by, group, finding, figure.

    Columns: value (of the group), rest, gap (value − rest) with gap_low and gap_high, p, p_holm,
    matched. Underdiagnosis has the finding ``any``. NaN is undefined; intervals are 95 %.
    """
    import pandas as pd

    rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for group in report.get("subgroups") or ():
        whose = (str(group["by"]), str(group["group"]))
        for finding, figures in group["findings"].items():
            for figure, gap in figures["gaps"].items():
                rows[*whose, finding, figure] = _row(figures[figure], gap)
        missed = group[UNDERDIAGNOSIS]
        if missed["gap"]:
            rows[*whose, "any", UNDERDIAGNOSIS] = _row(missed["rate"], missed["gap"])
    if not rows:
        return pd.DataFrame(columns=list(_COLUMNS), dtype="float64")
    index = pd.MultiIndex.from_tuples(list(rows), names=["by", "group", "finding", "figure"])
    return pd.DataFrame(list(rows.values()), index=index, columns=list(_COLUMNS)).astype("float64")


def _row(value: float | None, gap: Mapping[str, Any]) -> dict[str, Any]:
    low, high = gap["ci"] or (None, None)
    return {
        "value": value,
        "rest": gap["rest"],
        "gap": gap["difference"],
        "gap_low": low,
        "gap_high": high,
        "p": gap["p"],
        "p_holm": gap["p_holm"],
        "matched": gap.get("matched"),
    }
