"""What a comparison says, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TWO_RUNS = 2 / math.sqrt(math.pi)
"""The mean difference of two draws of a normal variable, in its standard deviations."""


def what_a_seed_does(a: float | None, runs_a: int, b: float | None, runs_b: int) -> float | None:
    """The mean difference in AUROC of two runs of one recipe; None without two of one.

    1.13 standard deviations over seeds, pooled over both groups by their degrees of freedom.
    """
    spreads = [(sd, runs - 1) for sd, runs in ((a, runs_a), (b, runs_b)) if sd is not None]
    degrees = sum(freedom for _, freedom in spreads)
    if not degrees:
        return None
    pooled = sum(freedom * sd**2 for sd, freedom in spreads) / degrees
    return TWO_RUNS * math.sqrt(pooled)


def beside_seeds(mean: Mapping[str, Any], seed_does: float | None) -> str:
    """The sentence that sets the gain beside what another seed does.

    Args:
        mean: the comparison's ``mean``.
        seed_does: see ``what_a_seed_does``.
    """
    difference = mean["auroc_difference"]
    if difference is None:
        return "No finding can be compared."
    gain = f"B's mean AUROC is {_above(difference)}"
    if seed_does is None:
        return f"{gain}. What another seed would do is unknown: each side is a single run."
    if seed_does == 0:
        return f"{gain}; another seed changes nothing."
    times = abs(difference) / seed_does
    beside = f"{times:.1f} times" if times >= 0.05 else "hardly any of"
    return f"{gain}: {beside} what another seed of one recipe does ({seed_does:.3f} on average)."


def _above(difference: float) -> str:
    if abs(difference) < 0.0005:
        return "A's, to three digits"
    return f"{abs(difference):.3f} {'above' if difference > 0 else 'below'} A's"


def holds_for(runs_a: int, runs_b: int) -> str:
    """What the verdicts are about."""
    if runs_a == runs_b == 1:
        return (
            "Verdicts hold for these two networks, not for their recipes: another seed would have "
            "made others. cxr-tui repeat trains several."
        )
    if 1 in (runs_a, runs_b):
        return (
            "Verdicts hold for the recipes if both vary over seeds alike: one side is a single "
            "run, and the other's spread stands for both."
        )
    return "Verdicts hold for the recipes: patients and seeds are both chance."


def who_is_ahead(mean: Mapping[str, Any], draws: int, holds: str) -> str | None:
    """In how many draws A is ahead in mean AUROC; None without draws.

    Args:
        holds: the report's ``holds_for``, which says whether seeds are drawn too.
    """
    share = mean["share_of_draws_a_ahead"]
    if share is None:
        return None
    drawn = "patients" if holds == "networks" else "patients and seeds"
    return f"A is ahead in mean AUROC in {share:.0%} of {draws:,} draws of {drawn}".replace(
        "%", " %"
    )


def would_take(pair: Mapping[str, Any], margin: float | None) -> str | None:
    """How many positive patients the verdicts that couldn't be reached would take."""
    open_ones = {
        name: (one["positive_patients_needed"], one["positive_patients"])
        for name, one in pair["findings"].items()
        if one["verdict"] == "can't tell" and one["p"] is not None
    }
    reached = [
        f"{name} {needed:,} ({have:,} here)"
        for name, (needed, have) in open_ones.items()
        if needed is not None
    ]
    never = [name for name, (needed, _) in open_ones.items() if needed is None]
    if not open_ones:
        return None
    asked = "the difference seen" if margin is None else f"equality within {margin:g}"
    told = []
    if reached:
        told.append(
            f"can't tell: to show {asked} in 8 of 10 test parts would take positive patients: "
            + ", ".join(reached)
        )
    if never:
        seeds = (
            "more seeds, not patients, would show it"
            if pair["holds_for"] == "recipes"
            else ("no number of patients would show it")
        )
        told.append(f"{seeds}: {', '.join(never)}")
    return "; ".join(told)


__all__ = [
    "TWO_RUNS",
    "beside_seeds",
    "holds_for",
    "what_a_seed_does",
    "who_is_ahead",
    "would_take",
]
