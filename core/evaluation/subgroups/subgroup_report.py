"""Every group's figures at the session's one threshold, and its gaps to the rest, as JSON.

All images whose attribute is known and that are not in the group are its rest. Every gap of the
report is corrected together (Holm 1979), over groups, findings and figures: one that stands is news
at 5 % for the whole report.

Part of a gap may be who is in the group: more of its images have the finding, or another one. So
each gap is also given ``matched``: images of the group and of the rest are weighted until both have
the shares of positive images, of images with other findings only, and of images without any that
the two have together. That is the mean over all draws that would match them.

``underdiagnosis`` is the false positive rate of No Finding (Seyyed-Kalantari et al. 2021, Nature
Medicine 27:2176): of the images with a finding, the share for which the network calls none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.comparing.significance import holm
from core.evaluation.confidence import patient_codes
from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.predictions import Predictions
from core.evaluation.subgroups.estimates import (
    FALSE_POSITIVE_RATE,
    FIGURES,
    SENSITIVITY,
    Estimate,
    RankedImages,
)
from core.evaluation.subgroups.gaps import gap_between
from core.evaluation.subgroups.groups import Attributes, Group, groups_of
from core.evaluation.subgroups.missed import MissedImages
from core.findings import PRESENT

LEAST_POSITIVE_PATIENTS = 10
"""With fewer, in the group or in the rest, a figure would be noise that reads like news."""

UNDERDIAGNOSIS = "underdiagnosis"
"""The key of the false positive rate of No Finding."""

_ON_LOGITS = (SENSITIVITY, FALSE_POSITIVE_RATE)

Tests = dict[tuple[str, ...], list[dict[str, Any]]]
"""The gaps to correct, by what they test: a gap seen from both its sides is one test."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The part's images: one finding's ranked, all findings' strata."""

    ranked: Mapping[str, RankedImages]
    with_any_N: NDArray[np.bool_]
    missed: MissedImages
    patients_N: NDArray[np.int64]
    with_intervals: bool


def subgroup_report(
    predictions: Predictions,
    patients_N: NDArray[np.int64],
    attributes: Attributes,
    thresholds: Mapping[str, float | None],
    *,
    with_intervals: bool,
) -> list[dict[str, Any]]:
    """Each group of ``groups_of``, with its findings; [] if nothing tells groups apart.

    Args:
        predictions: N images, F findings.
        patients_N: see ``patients_or_images``.
        attributes: see ``attributes_of``, in the predictions' order.
        thresholds: finding -> the session's threshold; None gives no shares.
        with_intervals: False: no interval and no test.
    """
    codes_N, num_patients = patient_codes(patients_N)
    labels_NF, scores_NF = predictions.labels_NF, predictions.scores_NF
    part = _Part(
        ranked={
            name: RankedImages(
                labels_NF[:, column],
                scores_NF[:, column],
                codes_N,
                num_patients,
                thresholds.get(name),
            )
            for column, name in enumerate(predictions.findings)
        },
        with_any_N=np.asarray((labels_NF == PRESENT).any(axis=1)),
        missed=MissedImages.of(predictions, thresholds, codes_N, num_patients),
        patients_N=patients_N,
        with_intervals=with_intervals,
    )
    tests: Tests = {}
    found = [_group_report(group, part, tests) for group in groups_of(attributes)]
    every = list(tests.values())
    for gaps, corrected in zip(every, holm([gaps[0]["p"] for gaps in every]), strict=True):
        for gap in gaps:
            gap |= {"p": _short(gap["p"]), "p_holm": _short(corrected)}
    return found


def _short(p: float | None) -> float | None:
    """Four digits: small ones keep theirs, and the text is the same on every machine."""
    return None if p is None else float(f"{p:.4g}")


def _group_report(group: Group, part: _Part, tests: Tests) -> dict[str, Any]:
    return {
        "by": group.by,
        "group": group.name,
        "images": int(group.inside_N.sum()),
        "patients": len(np.unique(part.patients_N[group.inside_N])),
        "rest_images": int(group.rest_N.sum()),
        "rest_patients": len(np.unique(part.patients_N[group.rest_N])),
        UNDERDIAGNOSIS: _underdiagnosis(group, part, tests),
        "findings": {name: _finding_report(name, group, part, tests) for name in part.ranked},
    }


def _finding_report(name: str, group: Group, part: _Part, tests: Tests) -> dict[str, Any]:
    ranked = part.ranked[name]
    inside_K, rest_K = (
        side_N[ranked.rows_K].astype(np.float64) for side_N in (group.inside_N, group.rest_N)
    )
    positives, images = int(inside_K[ranked.present_K].sum()), int(inside_K.sum())
    report: dict[str, Any] = {
        "positives": positives,
        "negatives": images - positives,
        "positive_patients": ranked.patients_with(inside_K, positive=True),
        "prevalence": rounded(positives / images) if images else None,
    }
    report |= {key: None for figure in FIGURES for key in (figure, f"{figure}_ci")}
    report["gaps"] = {}
    why_not = _too_few(ranked, inside_K)
    if why_not is not None:
        return report | {"note": f"{why_not}: no figure"}
    here = ranked.figures(inside_K)
    for figure, estimate in here.items():
        report |= _value(figure, estimate, part)
    why_not = _too_few(ranked, rest_K)
    if why_not is not None:
        return report | {"note": f"the rest has {why_not}: no gap"}
    there = ranked.figures(rest_K)
    matched = _matched(ranked, inside_K, rest_K, part)
    for figure in FIGURES:
        on_logits = figure in _ON_LOGITS
        gap = _gap(here[figure], there[figure], part, on_logits=on_logits)
        if gap is None:
            continue
        beside = None
        if matched is not None:
            one, other = matched
            beside = _gap(one[figure], other[figure], part, on_logits=on_logits)
        gap["matched"] = beside and beside["difference"]
        gap["matched_ci"] = beside and beside["ci"]
        report["gaps"][figure] = gap
        tests.setdefault((*group.test, name, figure), []).append(gap)
    return report | {"note": None}


def _too_few(ranked: RankedImages, weights_K: NDArray[np.float64]) -> str | None:
    """Why these images give no figures; None if they do."""
    for kind, positive in (("positive", True), ("negative", False)):
        if ranked.patients_with(weights_K, positive=positive) < LEAST_POSITIVE_PATIENTS:
            return f"fewer than {LEAST_POSITIVE_PATIENTS} {kind} patients"
    return None


def _matched(
    ranked: RankedImages,
    inside_K: NDArray[np.float64],
    rest_K: NDArray[np.float64],
    part: _Part,
) -> tuple[dict[str, Estimate | None], dict[str, Estimate | None]] | None:
    """Both sides' figures on images weighted alike; None if one side lacks a kind of image."""
    others_K = part.with_any_N[ranked.rows_K] & ~ranked.present_K
    kind_K = np.where(ranked.present_K, 0, np.where(others_K, 1, 2))
    counts_2 = [np.bincount(kind_K, weights=side_K, minlength=3) for side_K in (inside_K, rest_K)]
    wanted = (counts_2[0] + counts_2[1]) / (counts_2[0].sum() + counts_2[1].sum())
    weighted = []
    for side_K, counts in zip((inside_K, rest_K), counts_2, strict=True):
        if ((counts == 0) & (wanted > 0)).any():
            return None
        factors = wanted * counts.sum() / np.maximum(counts, 1)
        weighted.append(ranked.figures(side_K * factors[kind_K]))
    return weighted[0], weighted[1]


def _underdiagnosis(group: Group, part: _Part, tests: Tests) -> dict[str, Any]:
    here, there = part.missed.among(group.inside_N), part.missed.among(group.rest_N)
    report: dict[str, Any] = {"images": here.images, "patients": here.patients}
    report |= {"rate": None, "rate_ci": None, "gap": None, "note": part.missed.note}
    if part.missed.note is not None:
        return report
    few = f"fewer than {LEAST_POSITIVE_PATIENTS} patients with a finding"
    if here.patients < LEAST_POSITIVE_PATIENTS:
        return report | {"note": f"{few}: no figure"}
    report |= _value("rate", here.rate, part)
    if there.patients < LEAST_POSITIVE_PATIENTS:
        return report | {"note": f"the rest has {few}: no gap"}
    gap = _gap(here.rate, there.rate, part, on_logits=True)
    if gap is not None:
        tests.setdefault((*group.test, UNDERDIAGNOSIS), []).append(gap)
    return report | {"gap": gap}


def _value(key: str, estimate: Estimate | None, part: _Part) -> dict[str, Any]:
    if estimate is None:
        return {}
    ends = estimate.interval if part.with_intervals else None
    return {key: rounded(estimate.value), f"{key}_ci": rounded_interval(ends)}


def _gap(
    here: Estimate | None, there: Estimate | None, part: _Part, *, on_logits: bool
) -> dict[str, Any] | None:
    if here is None or there is None:
        return None
    gap = gap_between(here, there, on_logits=on_logits)
    p = gap.p if part.with_intervals else None
    return {
        "rest": rounded(there.value),
        "difference": rounded(gap.value),
        "ci": rounded_interval(gap.interval) if part.with_intervals else None,
        "p": p,
        "p_holm": None,
    }
