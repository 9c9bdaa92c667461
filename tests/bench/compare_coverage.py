"""How often ``cxr-tui compare`` tells equal models apart, and how often its intervals hold.

Patients with NIH's numbers of images, alike within a patient; models share what an image shows and
have noise of their own, half of it alike within a patient. The truth is known, since the scores are
drawn. Prints the tables of docs/compare.md:

    python tests/bench/compare_coverage.py --samples 2000
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from simulated_patients import simulated

from core.evaluation.comparing.differing import (
    Differing,
    auroc_differing,
    drawn_differing,
    mean_auroc_differing,
)
from core.evaluation.comparing.significance import holm, two_sided_p
from core.evaluation.confidence import patient_codes
from core.evaluation.patient_draws import areas_of_draws, rank_finding
from core.evaluation.placements import PlacedFinding, place

PREVALENCE_F = np.array([0.08, 0.08, 0.08])
AUROC_F = np.array([0.7, 0.82, 0.92])
_POSITIVE_SHARE = 0.19
"""Of the patients, those with a positive image at this prevalence."""

SIZES = (30, 100, 1_000)
"""Positive patients of a finding, on average."""

NOISE = 0.6
_BETTER = 0.3
"""Standard deviations of a model's own noise: of the equal ones, and of one that is better."""


@dataclass
class Tally:
    """How often something was tried, and how often it happened."""

    happened: list[bool] = field(default_factory=list)

    def add(self, happened: bool) -> None:
        self.happened.append(bool(happened))

    @property
    def share(self) -> float:
        return float(np.mean(self.happened)) if self.happened else float("nan")

    def __str__(self) -> str:
        return f"{self.share:.1%}".replace("%", " %")


@dataclass
class Found:
    """Of two models: equal ones told apart, and intervals that hold the true difference."""

    told_apart: Tally = field(default_factory=Tally)
    told_apart_by_mean: Tally = field(default_factory=Tally)
    any_told_apart: Tally = field(default_factory=Tally)
    held_equal: Tally = field(default_factory=Tally)
    held_different: Tally = field(default_factory=Tally)
    held_mean: Tally = field(default_factory=Tally)
    better_told: Tally = field(default_factory=Tally)
    auprc_told_apart: Tally = field(default_factory=Tally)


def two_models(positive_patients: int, samples: int, seed: int = 2, draws: int = 0) -> Found:
    """Two equal models, and one that is better than either, in so many samples."""
    found = Found()
    for sample in range(samples):
        rng = np.random.default_rng([seed, positive_patients, sample])
        drawn = simulated(rng, round(positive_patients / _POSITIVE_SHARE), PREVALENCE_F, AUROC_F)
        codes_N, patients = patient_codes(drawn.patients_N)
        scores = [
            drawn.scores_NF + noise * own_noise(rng, codes_N, patients)
            for noise in (NOISE, NOISE, _BETTER)
        ]
        placed = [placed_findings(drawn.labels_NF, one, codes_N, patients) for one in scores]
        if any(one is None or one.why_no_interval for one in placed[0]):
            continue
        equal, better = _each(placed[0], placed[1]), _each(placed[0], placed[2])
        truth_F = _auroc(_BETTER) - _auroc(NOISE)
        ps = [p_of(one) for one in equal]
        found.any_told_apart.add(min(holm(ps)) < 0.05)
        for one, p in zip(equal, ps, strict=True):
            found.told_apart.add(p < 0.05)
            found.held_equal.add(_holds(one, 0.0))
        for one, truth in zip(better, truth_F, strict=True):
            found.held_different.add(_holds(one, float(truth)))
            found.better_told.add(p_of(one) < 0.05 and one.value > 0)
        mean = mean_auroc_differing([placed[0]], [placed[1]], is_same=False)
        found.told_apart_by_mean.add(p_of(mean) < 0.05)
        mean = mean_auroc_differing([placed[0]], [placed[2]], is_same=False)
        found.held_mean.add(_holds(mean, float(truth_F.mean())))
        if draws:
            _add_auprc(found, drawn.labels_NF, scores[:2], codes_N, placed[0], draws)
    return found


def one_recipe_split(
    positive_patients: int, runs: int, spread: float, samples: int, seed: int = 3
) -> tuple[Tally, Tally]:
    """How often two groups of runs of one recipe are told apart: by a finding's p, by the mean.

    Args:
        spread: how far the noise of a run, and so its AUROC, varies over seeds.
    """
    told_apart, by_mean = Tally(), Tally()
    for sample in range(samples):
        rng = np.random.default_rng([seed, positive_patients, runs, round(100 * spread), sample])
        drawn = simulated(rng, round(positive_patients / _POSITIVE_SHARE), PREVALENCE_F, AUROC_F)
        codes_N, patients = patient_codes(drawn.patients_N)
        placed_RF = []
        for _ in range(2 * runs):
            noise = NOISE * np.exp(spread * rng.normal())
            scores_NF = drawn.scores_NF + noise * own_noise(rng, codes_N, patients)
            placed_RF.append(placed_findings(drawn.labels_NF, scores_NF, codes_N, patients))
        if any(one is None or one.why_no_interval for one in placed_RF[0]):
            continue
        a, b = placed_RF[:runs], placed_RF[runs:]
        for column in range(len(AUROC_F)):
            one = auroc_differing(
                [run[column] for run in a], [run[column] for run in b], is_same=False
            )
            told_apart.add(p_of(one) < 0.05)
        by_mean.add(p_of(mean_auroc_differing(a, b, is_same=False)) < 0.05)
    return told_apart, by_mean


def own_noise(rng: np.random.Generator, codes_N: np.ndarray, patients: int) -> np.ndarray:
    """Of unit variance, half of it alike within a patient."""
    findings = len(AUROC_F)
    of_patient = rng.normal(size=(patients, findings))[codes_N]
    return (of_patient + rng.normal(size=of_patient.shape)) / np.sqrt(2)


def _auroc(noise: float) -> np.ndarray:
    return np.asarray(norm.cdf(norm.ppf(AUROC_F) / np.sqrt(1 + noise**2)))


def placed_findings(
    labels_NF: np.ndarray, scores_NF: np.ndarray, codes_N: np.ndarray, patients: int
) -> list[PlacedFinding]:
    return [
        place(labels_N, scores_N, codes_N, patients)  # type: ignore[misc]
        for labels_N, scores_N in zip(labels_NF.T, scores_NF.T, strict=True)
    ]


def _each(a: list[PlacedFinding], b: list[PlacedFinding]) -> list[Differing]:
    return [auroc_differing([x], [y], is_same=False) for x, y in zip(a, b, strict=True)]


def p_of(one: Differing) -> float:
    assert one.chance is not None
    p = two_sided_p(one.value, one.chance.spread)
    return 1.0 if p is None else p


def _holds(one: Differing, truth: float) -> bool:
    return one.interval is not None and one.interval[0] <= truth <= one.interval[1]


def _add_auprc(
    found: Found,
    labels_NF: np.ndarray,
    scores: list[np.ndarray],
    codes_N: np.ndarray,
    placed: list[PlacedFinding],
    draws: int,
) -> None:
    """The first finding's, with its draws."""
    patients = int(codes_N.max()) + 1
    ranked = [rank_finding(labels_NF[:, 0], one[:, 0], codes_N, patients) for one in scores]
    drawn = [areas_of_draws([one], patients, draws, 0)[1] for one in ranked]
    whole = [np.array([one.mean()]) for one in drawn]
    differing = drawn_differing(*whole, *drawn, placed[0], is_same=False)
    found.auprc_told_apart.add(not _holds(differing, 0.0))


def print_tables(samples: int, sizes: tuple[int, ...]) -> None:
    """The tables of the documents."""
    head = (
        *("positive patients", "equal models told apart at 5 %", "by the mean"),
        *("any of 3, Holm", "interval holds 0", "holds a true difference"),
        *("holds that of the mean", "true difference told"),
    )
    print(f"| {' | '.join(head)} |")
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        of = two_models(size, samples)
        cells = [of.told_apart, of.told_apart_by_mean, of.any_told_apart, of.held_equal]
        cells += [of.held_different, of.held_mean, of.better_told]
        print(f"| {size:,} | {' | '.join(map(str, cells))} |", flush=True)
    print("\n| positive patients | runs a side | seeds vary | told apart | by the mean |")
    print("|---|---|---|---|---|")
    for size in [size for size in sizes if size < 1_000]:
        for runs in (2, 3, 5):
            for spread, words in ((0.0, "not at all"), (0.15, "a little"), (0.5, "much")):
                told_apart, by_mean = one_recipe_split(size, runs, spread, samples // 2)
                print(f"| {size:,} | {runs} | {words} | {told_apart} | {by_mean} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="positive patients")
    settings = parser.parse_args()
    print_tables(settings.samples, tuple(settings.sizes))


if __name__ == "__main__":
    main()
