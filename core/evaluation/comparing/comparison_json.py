"""A comparison as the JSON values that ``cxr-tui compare --json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.evaluation.comparing.alignment import AlignedRuns
from core.evaluation.comparing.comparison import (
    Compared,
    Comparison,
    ComparisonSettings,
    Group,
)
from core.evaluation.comparing.comparison_words import (
    beside_seeds,
    holds_for,
    what_a_seed_does,
    who_is_ahead,
    would_take,
)
from core.evaluation.comparing.differing import Differing
from core.evaluation.comparing.ensemble import ensemble_report
from core.evaluation.comparing.recipe_groups import differences_of_groups, unlike_members
from core.evaluation.confidence import CONFIDENCE
from core.evaluation.finding_report import rounded, rounded_interval
from core.evaluation.placements import place_findings

_P_DIGITS = 6


def comparison_report(
    aligned: AlignedRuns,
    groups: Sequence[Group],
    compared: Sequence[Comparison],
    settings: ComparisonSettings,
) -> dict[str, Any]:
    """Every figure as JSON values; ``a`` to ``mean`` are those of the first two groups."""
    pairs = [_comparison(aligned, one, settings) for one in compared]
    return {
        "images": len(aligned.images),
        "patients": len(np.unique(aligned.patients_N)),
        "images_left_out": aligned.left_out,
        "findings_left_out": list(aligned.findings_left_out),
        "runs": [_run(aligned, group) for group in groups],
        **pairs[0],
        "comparisons": pairs if len(pairs) > 1 else [],
        "margin": settings.margin,
        "operating_point": settings.rule,
        "intervals": {
            "confidence": CONFIDENCE,
            "resampled": "patients and seeds"
            if any(len(group.runs) > 1 for group in groups)
            else "patients",
            "draws": settings.draws,
            "seed": settings.seed,
        },
        "ensembles": ensemble_report(aligned, groups),
        "warnings": _warnings(aligned, groups),
    }


def _run(aligned: AlignedRuns, group: Group) -> dict[str, Any]:
    members = [
        {
            "name": aligned.runs[run].name,
            "seed": aligned.runs[run].seed,
            "mean_auroc": rounded(_mean_auroc(aligned, run)),
        }
        for run in group.runs
    ]
    means = [_mean_auroc(aligned, run) for run in group.runs]
    defined = [mean for mean in means if mean is not None]
    spread = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return {
        "name": group.name,
        "seeds": len(group.runs),
        "mean_auroc": rounded(float(np.mean(defined)) if defined else None),
        "sd_over_seeds": rounded(spread),
        "members": members,
    }


def _mean_auroc(aligned: AlignedRuns, run: int) -> float | None:
    """Over every finding that has an AUROC, as in a session's own report."""
    placed = place_findings(aligned.labels_NF, aligned.scores_RNF[run], aligned.patients_N)
    values = [one.value for one in placed if one is not None]
    return float(np.mean(values)) if values else None


def _warnings(aligned: AlignedRuns, groups: Sequence[Group]) -> list[str]:
    """What a reader should know of the runs, each once."""
    told = [f"{run.name}: {words}" for run in aligned.runs for words in run.warnings]
    if aligned.left_out:
        told.append(
            f"{aligned.left_out:,} images that not all runs have are left out: "
            f"{len(aligned.images):,} are compared"
        )
    if aligned.findings_left_out:
        told.append(f"left out, not of all runs: {', '.join(aligned.findings_left_out)}")
    for group in groups:
        if unlike := unlike_members(aligned.runs, group):
            told.append(
                f"the runs of {group.name} differ in {', '.join(unlike)} too, so their spread "
                "isn't that of seeds"
            )
        seeds = [aligned.runs[run].seed for run in group.runs]
        if None not in seeds and len(set(seeds)) < len(seeds):
            told.append(f"runs of {group.name} have the same train.seed")
    return list(dict.fromkeys(told))


def _comparison(
    aligned: AlignedRuns, compared: Comparison, settings: ComparisonSettings
) -> dict[str, Any]:
    a, b = compared.a, compared.b
    report: dict[str, Any] = {
        "a": a.name,
        "b": b.name,
        "findings": {name: _compared(one) for name, one in compared.findings.items()},
        "mean": _compared(compared.mean) | {"over": list(compared.mean_over)},
        "recipe_differences": differences_of_groups(aligned.runs, a, b),
    }
    spread = [report["mean"][f"sd_over_seeds_{side}"] for side in ("a", "b")]
    seed_does = what_a_seed_does(spread[0], len(a.runs), spread[1], len(b.runs))
    report["another_seed"] = rounded(seed_does)
    report["sentence"] = beside_seeds(report["mean"], seed_does)
    report["holds_for"] = "networks" if len(a.runs) == len(b.runs) == 1 else "recipes"
    told = [
        who_is_ahead(report["mean"], settings.draws, report["holds_for"]),
        holds_for(len(a.runs), len(b.runs)),
        would_take(report, settings.margin),
    ]
    report["notes"] = [words for words in told if words is not None]
    return report


def _compared(one: Compared) -> dict[str, Any]:
    return {
        **_figure("auroc", one.differing),
        "p": _p(one.p),
        "p_holm": _p(one.p_holm),
        "p_equal": _p(one.p_equal),
        "p_equal_holm": _p(one.p_equal_holm),
        "verdict": one.verdict,
        "positive_patients": one.positive_patients,
        "positive_patients_needed": one.needed,
        "share_of_draws_a_ahead": rounded(one.a_ahead),
        "sd_over_seeds_a": rounded(one.differing.a.deviation if one.differing else None),
        "sd_over_seeds_b": rounded(one.differing.b.deviation if one.differing else None),
        **_figure("auprc", one.auprc),
        "sensitivity": rounded(one.sensitivity),
        **_figure("specificity", one.specificity),
        "note": "; ".join(one.notes) or None,
    }


def _figure(name: str, differing: Differing | None) -> dict[str, Any]:
    if differing is None:
        return dict.fromkeys((f"{name}_a", f"{name}_b", f"{name}_difference",
                              f"{name}_difference_ci"))  # fmt: skip
    return {
        f"{name}_a": rounded(differing.a.mean),
        f"{name}_b": rounded(differing.b.mean),
        f"{name}_difference": rounded(differing.value),
        f"{name}_difference_ci": rounded_interval(differing.interval),
    }


def _p(p: float | None) -> float | None:
    """In significant digits: a p of 1e-9 is no 0."""
    return None if p is None else float(f"{p:.{_P_DIGITS}g}")


__all__ = ["comparison_report"]
