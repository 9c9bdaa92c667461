"""Data frames of scores compared, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.evaluation.comparing.compare import compare_runs
from core.evaluation.comparing.scored_runs import ScoredRun
from core.evaluation.predictions import predictions_of

if TYPE_CHECKING:
    from pandas import DataFrame


def compare(
    a: DataFrame | Sequence[DataFrame],
    b: DataFrame | Sequence[DataFrame],
    *,
    common: bool = False,
    margin: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> DataFrame:
    """Whether B's scores are better than A's, one row per finding; see ``comparison_frame``.

    Args:
        a, b: scores of the same images as from ``Run.predictions``, or from any source with
            columns <Finding> (1, 0, NaN unknown) and prob_<Finding>. Several frames are runs of
            one recipe with other seeds; then the variation over seeds counts too. ``Patient ID``
            is optional, as in ``score``.
        common: compare the images and findings that all have, and leave out others.
        margin: difference in AUROC below which the two count as equal; None: not asked.
        bootstrap: draws of patients for AUPRC; 0: without intervals.
        seed: of the draws.

    Raises:
        DataError: a column is missing; images, findings, labels or patients differ.
        RunFailedError: a score is not finite.
    """
    groups = [[side] if hasattr(side, "columns") else list(side) for side in (a, b)]
    runs = [
        ScoredRun(f"{name}{number}" if len(group) > 1 else name, predictions_of(frame))
        for name, group in zip("AB", groups, strict=True)
        for number, frame in enumerate(group, start=1)
    ]
    report = compare_runs(
        runs, len(groups[0]), common=common, margin=margin, draws=bootstrap, seed=seed
    )
    return comparison_frame(report)


def comparison_frame(report: Mapping[str, Any]) -> DataFrame:
    """A comparison's figures, one row per finding and ``mean`` last; the index is the finding.

    Columns: auroc_a, auroc_b, auroc_difference (b − a, with _low and _high: 95 %), p, p_holm
    (over findings), verdict, positive_patients, positive_patients_needed, auprc_a, auprc_b,
    auprc_difference (with _low and _high), sd_over_seeds_a, sd_over_seeds_b. NaN is undefined.

    Args:
        report: see ``core.evaluation.comparing.comparison_json``; of two sides.
    """
    import pandas as pd

    entries = {**report["findings"], "mean": report["mean"]}
    frame = pd.DataFrame.from_dict(
        {name: _row(entry) for name, entry in entries.items()}, orient="index"
    )
    frame.index.name = "finding"
    return frame.astype({name: "float64" for name in frame if name != "verdict"})


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_figure(entry, "auroc"),
        **{
            name: entry[name]
            for name in (
                *("p", "p_holm", "verdict"),
                *("positive_patients", "positive_patients_needed"),
            )
        },
        **_figure(entry, "auprc"),
        **{name: entry[name] for name in ("sd_over_seeds_a", "sd_over_seeds_b")},
    }


def _figure(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    low, high = entry[f"{key}_difference_ci"] or (None, None)
    return {
        f"{key}_a": entry[f"{key}_a"],
        f"{key}_b": entry[f"{key}_b"],
        f"{key}_difference": entry[f"{key}_difference"],
        f"{key}_difference_low": low,
        f"{key}_difference_high": high,
    }


__all__ = ["compare", "comparison_frame"]
