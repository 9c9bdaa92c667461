"""The runs of one recipe with several seeds: how far their figures vary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.evaluation.comparing.alignment import align
from core.evaluation.comparing.scored_runs import run_of_session
from core.evaluation.confidence import t_quantile
from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.placements import place_findings
from core.store.session import Session


def seed_group(sessions: Sequence[Session]) -> dict[str, Any]:
    """What ``cxr-tui repeat --json`` prints: AUROC of each run, and its spread over seeds.

    ``…_ci`` is the 95 % interval of the recipe's AUROC on these test images, over seeds alone:
    the mean ± t · SD / √k with k − 1 degrees of freedom.

    Args:
        sessions: two or more finished ones, of the same test images.

    Raises:
        DataError: see ``run_of_session`` and ``align``.
    """
    aligned = align([run_of_session(session) for session in sessions])
    auroc_RF = np.array(
        [
            [
                np.nan if placed is None else placed.value
                for placed in place_findings(aligned.labels_NF, scores_NF, aligned.patients_N)
            ]
            for scores_NF in aligned.scores_RNF
        ]
    )
    defined_F = np.isfinite(auroc_RF).all(axis=0)
    mean_R = auroc_RF[:, defined_F].mean(axis=1) if defined_F.any() else auroc_RF[:, :0].sum(axis=1)
    return {
        "images": len(aligned.images),
        "patients": len(np.unique(aligned.patients_N)),
        "runs": [
            {
                "name": run.name,
                "seed": run.seed,
                "mean_auroc": rounded(float(mean)) if defined_F.any() else None,
                "findings": {
                    name: rounded(float(value)) if np.isfinite(value) else None
                    for name, value in zip(aligned.findings, auroc_F, strict=True)
                },
            }
            for run, mean, auroc_F in zip(aligned.runs, mean_R, auroc_RF, strict=True)
        ],
        "findings": {
            name: _spread(auroc_RF[:, column] if defined_F[column] else None)
            for column, name in enumerate(aligned.findings)
        },
        "mean": _spread(mean_R if defined_F.any() else None),
    }


def _spread(values_R: np.ndarray[Any, np.dtype[np.float64]] | None) -> dict[str, Any]:
    if values_R is None:
        return dict.fromkeys(("auroc", "auroc_ci", "sd_over_seeds", "lowest", "highest"))
    mean, deviation = float(values_R.mean()), float(values_R.std(ddof=1))
    half = t_quantile(len(values_R) - 1) * deviation / np.sqrt(len(values_R))
    return {
        "auroc": rounded(mean),
        "auroc_ci": rounded_interval((max(0.0, mean - half), min(1.0, mean + half))),
        "sd_over_seeds": rounded(deviation),
        "lowest": rounded(float(values_R.min())),
        "highest": rounded(float(values_R.max())),
    }


__all__ = ["seed_group"]
