"""Figures of each run on the shared images, and in the same draws of their patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.comparing.alignment import AlignedRuns
from core.evaluation.confidence import patient_codes
from core.evaluation.operating_points import Rule, choose_threshold
from core.evaluation.patient_draws import (
    areas_of_draws,
    areas_under_weights,
    rank_finding,
    specificity_of_draws,
)
from core.evaluation.placements import PlacedFinding, place
from core.evaluation.predictions import Predictions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RunFigures:
    """Areas of one run, for F findings.

    Attributes:
        placed_F: AUROC and its placements; None if the labels lack a class.
        auprc_F: AUPRC, NaN without one.
        auroc_FB, auprc_FB: both in B draws of the patients, NaN if a draw lacks a class.
        specificity_F, specificity_FB: at the sensitivity given for each finding.
    """

    placed_F: tuple[PlacedFinding | None, ...]
    auprc_F: Floats
    auroc_FB: Floats
    auprc_FB: Floats
    specificity_F: Floats
    specificity_FB: Floats


def run_figures(
    aligned: AlignedRuns, sensitivity_F: Sequence[float | None], *, draws: int, seed: int
) -> list[RunFigures]:
    """Each run's figures; one draw of patients serves all of them.

    Args:
        sensitivity_F: see ``common_sensitivities``.
    """
    codes_N, patients = patient_codes(aligned.patients_N)
    known: dict[bytes, RunFigures] = {}
    found = []
    for scores_NF in aligned.scores_RNF:
        key = scores_NF.tobytes()  # a session may be named twice
        if key not in known:
            known[key] = _figures(
                aligned.labels_NF, scores_NF, sensitivity_F, codes_N, patients, draws, seed
            )
        found.append(known[key])
    return found


def _figures(
    labels_NF: NDArray[Any],
    scores_NF: Floats,
    sensitivity_F: Sequence[float | None],
    codes_N: NDArray[np.intp],
    patients: int,
    draws: int,
    seed: int,
) -> RunFigures:
    columns = range(labels_NF.shape[1])
    ranked_F = [rank_finding(labels_NF[:, f], scores_NF[:, f], codes_N, patients) for f in columns]
    everybody_P1 = np.ones((patients, 1))
    auprc_F = [
        np.nan if ranked is None else float(areas_under_weights(ranked, everybody_P1)[1][0])
        for ranked in ranked_F
    ]
    auroc_FB, auprc_FB = areas_of_draws(ranked_F, patients, draws, seed)
    placed_F = [place(labels_NF[:, f], scores_NF[:, f], codes_N, patients) for f in columns]
    at_F, at_FB = specificity_of_draws(ranked_F, sensitivity_F, patients, draws, seed)
    return RunFigures(tuple(placed_F), np.array(auprc_F), auroc_FB, auprc_FB, at_F, at_FB)


def common_sensitivities(aligned: AlignedRuns, rule: Rule) -> list[float | None]:
    """The sensitivity at which each finding's specificities are compared; None without val.

    Specificities can be compared at equal sensitivity only. The common one is what the rule asks
    for, or else the mean of those that it chooses on each run's val: Youden's index chooses another
    for each. Specificity at it is read on test, so that a threshold from few val patients, which
    lands elsewhere on the curve, doesn't look like a difference of networks.
    """
    vals = [run.val for run in aligned.runs if run.val is not None]
    if len(vals) < len(aligned.runs):
        return [None] * len(aligned.findings)
    return [_sensitivity(finding, vals, rule) for finding in aligned.findings]


def _sensitivity(finding: str, vals: Sequence[Predictions], rule: Rule) -> float | None:
    if any(finding not in val.findings for val in vals):
        return None
    columns = [val.findings.index(finding) for val in vals]
    chosen = [
        choose_threshold(rule, val.labels_NF[:, column], val.scores_NF[:, column]).sensitivity
        for val, column in zip(vals, columns, strict=True)
    ]
    own = [one for one in chosen if one is not None]
    if len(own) < len(vals):
        return None
    is_asked = rule.kind == "sensitivity" and rule.least is not None
    return rule.least if is_asked else float(np.mean(own))
