"""The mean of a group's probabilities, scored as one more network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.evaluation.comparing.alignment import AlignedRuns
from core.evaluation.comparing.comparison import Group
from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.placements import auroc_interval, mean_interval, place_findings


def ensemble_report(aligned: AlignedRuns, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """AUROC of each group's ensemble with intervals over patients; nulls for a single run.

    They hold for this ensemble of networks: another set of seeds would have made another.
    """
    return [_ensemble(aligned, group) for group in groups]


def _ensemble(aligned: AlignedRuns, group: Group) -> dict[str, Any]:
    report: dict[str, Any] = {
        "name": group.name,
        "mean_auroc": None,
        "mean_auroc_ci": None,
        "findings": None,
        "note": None,
    }
    if len(group.runs) < 2:
        return report | {"note": "a single run"}
    scores = [aligned.scores_RNF[run] for run in group.runs]
    if any(float(one.min()) < 0 or float(one.max()) > 1 for one in scores):
        return report | {"note": "scores outside 0 … 1 are no probabilities, so none is averaged"}
    placed_F = place_findings(aligned.labels_NF, np.mean(scores, axis=0), aligned.patients_N)
    defined = [placed for placed in placed_F if placed is not None]
    bounded = [placed for placed in defined if placed.why_no_interval is None]
    whole = mean_interval(bounded) if len(bounded) == len(defined) else None
    mean = float(np.mean([placed.value for placed in defined])) if defined else None
    return report | {
        "mean_auroc": rounded(mean),
        "mean_auroc_ci": rounded_interval(whole),
        "findings": {
            name: {
                "auroc": rounded(placed.value if placed else None),
                "auroc_ci": rounded_interval(auroc_interval(placed)),
            }
            for name, placed in zip(aligned.findings, placed_F, strict=True)
        },
    }


__all__ = ["ensemble_report"]
