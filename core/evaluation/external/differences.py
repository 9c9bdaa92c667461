"""Differences of figures between two samples of patients, with intervals.

The two samples are independent. An AUROC's difference has the sum of both variances and Student's t
with both degrees of freedom (see ``samples_interval``). For other figures the interval follows from
the two figures' own: the distances of each end from its figure, squared and added (Newcombe 1998,
Statistics in Medicine 17:873, method 10; Zou and Donner 2008, Statistics in Medicine 27:1693). It
is as skewed as they are, and with few patients a little too wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.confidence import Interval
from core.evaluation.finding_report import patients_or_images, rounded, rounded_interval
from core.evaluation.placements import (
    PlacedFinding,
    mean_interval,
    place_findings,
    samples_interval,
)
from core.evaluation.predictions import Predictions

AREAS = ("auroc", "auprc")
AT_THE_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")

Ends = Sequence[float]
Placed = tuple[PlacedFinding | None, PlacedFinding | None]


def difference_interval(
    first: float, first_ends: Ends | None, second: float, second_ends: Ends | None
) -> tuple[float, float] | None:
    """The interval of ``first - second``; None if either has none."""
    if first_ends is None or second_ends is None:
        return None
    below = math.hypot(first - first_ends[0], second_ends[1] - second)
    above = math.hypot(first_ends[1] - first, second - second_ends[0])
    return first - second - below, first - second + above


def compared(
    external: float | None,
    external_ends: Ends | None,
    internal: float | None,
    internal_ends: Ends | None,
    ends: Interval | None = None,
) -> dict[str, Any]:
    """A figure here and there, with the difference; nulls where one of them is undefined.

    ``ends`` are the difference's, if they are known better than from the figures' own.
    """
    difference = None
    if external is not None and internal is not None:
        difference = rounded(external - internal)
        both = external_ends is not None and internal_ends is not None
        if both and ends is None:
            ends = difference_interval(external, external_ends, internal, internal_ends)
    return {
        "external": external,
        "external_ci": external_ends,
        "internal": internal,
        "internal_ci": internal_ends,
        "difference": difference,
        "difference_ci": rounded_interval(ends),
    }


def compared_finding(
    external: Mapping[str, Any],
    internal: Mapping[str, Any] | None,
    placed: Placed,
    *,
    with_intervals: bool,
) -> dict[str, dict[str, Any]]:
    """Every figure of a finding, from two reports of the same finding.

    ``placed``: the finding's placements there and in the session's test, see ``placed_pairs``.
    """
    there = internal or {}
    ends = _between([placed[0]], [placed[1]]) if with_intervals else None
    found = {
        name: compared(
            external[name],
            external[f"{name}_ci"],
            there.get(name),
            there.get(f"{name}_ci"),
            ends if name == "auroc" else None,
        )
        for name in AREAS
    }
    here_point, there_point = external["operating_point"], there.get("operating_point", {})
    for name in AT_THE_THRESHOLD:
        found[name] = compared(
            here_point[name],
            here_point[f"{name}_ci"],
            there_point.get(name),
            there_point.get(f"{name}_ci"),
        )
    return found


def placed_pairs(external: Predictions, internal: Predictions | None) -> list[Placed]:
    """Each finding's placements there and in the session's own test; None where undefined."""
    here = place_findings(external.labels_NF, external.scores_NF, patients_or_images(external))
    if internal is None:
        return [(one, None) for one in here]
    there = place_findings(internal.labels_NF, internal.scores_NF, patients_or_images(internal))
    return list(zip(here, there, strict=True))


def compared_mean(
    findings: Sequence[str], pairs: Sequence[Placed], *, with_intervals: bool
) -> dict[str, Any]:
    """The mean AUROC over the findings that have one in both, with ``over``."""
    both = [
        (name, ours, theirs)
        for name, (ours, theirs) in zip(findings, pairs, strict=True)
        if ours is not None and theirs is not None
    ]
    if not both:
        return {"over": [], **compared(None, None, None, None)}
    names = [name for name, _, _ in both]
    sides = [one for _, one, _ in both], [one for _, _, one in both]
    ours_mean, theirs_mean = (rounded(sum(one.value for one in side) / len(side)) for side in sides)
    if not with_intervals:
        return {"over": names, **compared(ours_mean, None, theirs_mean, None)}
    ours_ends, theirs_ends = (rounded_interval(mean_interval(side)) for side in sides)
    between = samples_interval(*sides)
    return {"over": names, **compared(ours_mean, ours_ends, theirs_mean, theirs_ends, between)}


def _between(
    first: Sequence[PlacedFinding | None], second: Sequence[PlacedFinding | None]
) -> Interval | None:
    here, there = ([one for one in side if one is not None] for side in (first, second))
    return samples_interval(here, there)
