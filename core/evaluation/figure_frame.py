"""A report's figures as a data frame with one row per finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


def figures_of(report: Mapping[str, Any]) -> DataFrame:
    """A report's figures, one row per finding and ``mean`` last; the index is the finding.

    Columns: positives, negatives, positive_patients, effective_positive_patients, prevalence,
    auroc, auroc_low, auroc_high, auprc, auprc_low, auprc_high, table_alone_auroc, threshold,
    sensitivity, specificity, ppv, npv (each with _low and _high). NaN is undefined; intervals are
    95 %, over patients (``docs/intervals.md``).
    """
    import pandas as pd

    rows = {name: _figures(entry) for name, entry in report["findings"].items()}
    low, high = report.get("mean_auroc_ci") or (None, None)
    rows["mean"] = {
        "auroc": report["mean_auroc"],
        "auroc_low": low,
        "auroc_high": high,
        "auprc": report["mean_auprc"],
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").astype("float64")
    frame.index.name = "finding"
    return frame


def _figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    point = entry.get("operating_point") or {}
    counts = ("positives", "negatives", "positive_patients", "effective_positive_patients")
    row = {name: entry.get(name) for name in (*counts, "prevalence")}
    row |= _with_interval(entry, ("auroc", "auprc", "table_alone_auroc"))
    row["threshold"] = point.get("threshold")
    return row | _with_interval(point, ("sensitivity", "specificity", "ppv", "npv"))


def _with_interval(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in names:
        low, high = values.get(f"{name}_ci") or (None, None)
        row |= {name: values.get(name), f"{name}_low": low, f"{name}_high": high}
    return row
