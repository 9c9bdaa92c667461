"""How often our 95 % intervals hold the truth, and how often equal models differ «significantly».

Patients with NIH's numbers of images, alike within a patient; the truth is known, since the scores
are drawn. Beside each figure stands what the percentiles of the same draws would have done. Prints
the tables of docs/intervals.md:

    python tests/bench/coverage.py --samples 500
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from simulated_patients import simulated

from core.evaluation.confidence import Interval, patient_codes
from core.evaluation.intervals import patient_bootstrap, ratio_intervals
from core.evaluation.patient_draws import areas_of_draws, rank_finding
from core.evaluation.placements import auroc_interval, gains, place_findings

SIZES = (300, 1_000, 2_797)
PREVALENCES = (0.002, 0.01, 0.04, 0.12)
AUROCS = (0.65, 0.8, 0.9, 0.95)
_PREVALENCE_F = np.repeat(PREVALENCES, len(AUROCS))
_AUROC_F = np.tile(AUROCS, len(PREVALENCES))
_THRESHOLD = 1.0


@dataclass
class Tally:
    """Intervals that were given, those that held the truth, and their mean width."""

    asked: int = 0
    held: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, interval: Interval | None, truth: float) -> None:
        self.asked += 1
        if interval is not None:
            self.held.append(interval[0] <= truth <= interval[1])
            self.widths.append(interval[1] - interval[0])

    def __str__(self) -> str:
        if not self.held:
            return "–"
        none = 1 - len(self.held) / self.asked
        beside = f" ({none:.0%} none)" if none > 0.005 else ""
        return f"{np.mean(self.held):.1%}{beside}".replace("%", " %")


Tallies = dict[tuple[object, ...], Tally]


def areas(patients: int, samples: int, draws: int, seed: int = 0) -> Tallies:
    """Coverage of AUROC, AUPRC, their mean, sensitivity and the like, in so many samples."""
    found: Tallies = defaultdict(Tally)
    truth_auprc_F = _true_auprc()
    for sample in range(samples):
        rng = np.random.default_rng([seed, patients, sample])
        drawn = simulated(rng, patients, _PREVALENCE_F, _AUROC_F)
        ours = patient_bootstrap(
            drawn.labels_NF, drawn.scores_NF, drawn.patients_N, draws=draws, seed=sample
        )
        codes_N, count = patient_codes(drawn.patients_N)
        ranked_F = [
            rank_finding(labels_N, scores_N, codes_N, count)
            for labels_N, scores_N in zip(drawn.labels_NF.T, drawn.scores_NF.T, strict=True)
        ]
        auroc_FB, auprc_FB = areas_of_draws(ranked_F, count, draws, sample)
        placed_F = place_findings(drawn.labels_NF, drawn.scores_NF, drawn.patients_N)
        for column, (prevalence, auroc) in enumerate(zip(_PREVALENCE_F, _AUROC_F, strict=True)):
            if ranked_F[column] is None:
                continue
            of = (float(prevalence), float(auroc))
            found["AUROC", "now", *of].add(ours.auroc_F[column], auroc)
            found["AUROC", "percentile", *of].add(_percentile(auroc_FB[column]), auroc)
            found["AUROC", "without draws", *of].add(auroc_interval(placed_F[column]), auroc)
            truth = truth_auprc_F[column]
            found["AUPRC", "now", *of].add(ours.auprc_F[column], truth)
            found["AUPRC", "percentile", *of].add(_percentile(auprc_FB[column]), truth)
            positives = int(_positive_patients(drawn.labels_NF[:, column], drawn.patients_N))
            found["patients", "now", *of].widths.append(positives)
            band = (_band(positives),)
            found["band", "now", *band].add(ours.auroc_F[column], auroc)
            found["band", "percentile", *band].add(_percentile(auroc_FB[column]), auroc)
        _add_means(found, ours.bounded_mean, ours.bounded, auroc_FB)
        _add_shares(found, drawn.labels_NF, drawn.scores_NF, drawn.patients_N)
    return found


def false_gains(patients: int, samples: int, draws: int, seed: int = 1) -> Tallies:
    """How often two equally good models differ beyond their interval."""
    found: Tallies = defaultdict(Tally)
    for sample in range(samples):
        rng = np.random.default_rng([seed, patients, sample])
        drawn = simulated(rng, patients, _PREVALENCE_F, _AUROC_F)
        # Two models share what the image shows and differ in noise of their own.
        noise_2NF = 0.6 * rng.normal(size=(2, *drawn.scores_NF.shape))
        before_NF, after_NF = drawn.scores_NF + noise_2NF
        each, mean = gains(drawn.labels_NF, before_NF, after_NF, drawn.patients_N)
        codes_N, count = patient_codes(drawn.patients_N)
        before_FB, after_FB = (
            areas_of_draws(
                [
                    rank_finding(labels_N, column_N, codes_N, count)
                    for labels_N, column_N in zip(drawn.labels_NF.T, scores_NF.T, strict=True)
                ],
                count,
                draws,
                sample,
            )[0]
            for scores_NF in (before_NF, after_NF)
        )
        for column, gain in enumerate(each):
            band = _band(int(_positive_patients(drawn.labels_NF[:, column], drawn.patients_N)))
            found["gain", "now", band].add(gain.interval, 0.0)
            found["gain", "percentile", band].add(
                _percentile(after_FB[column] - before_FB[column]), 0.0
            )
        found["gain of the mean", "now", ""].add(mean.interval, 0.0)
    return found


def _add_means(
    found: Tallies, ours: Interval | None, bounded: tuple[int, ...], auroc_FB: np.ndarray
) -> None:
    truth = float(np.mean(_AUROC_F[list(bounded)])) if bounded else np.nan
    found["mean AUROC", "now", ""].add(ours, truth)
    defined = np.isfinite(auroc_FB).any(axis=1)
    drawn_B = auroc_FB[defined].mean(axis=0)
    found["mean AUROC", "percentile", ""].add(_percentile(drawn_B), float(_AUROC_F[defined].mean()))


def _add_shares(
    found: Tallies, labels_NF: np.ndarray, scores_NF: np.ndarray, patients_N: np.ndarray
) -> None:
    called_NF, present_NF = scores_NF >= _THRESHOLD, labels_NF == 1
    sensitivity_F = norm.cdf(np.sqrt(2) * norm.ppf(_AUROC_F) - _THRESHOLD)
    missed_F = norm.cdf(_THRESHOLD)
    true_F, false_F = sensitivity_F * _PREVALENCE_F, norm.sf(_THRESHOLD) * (1 - _PREVALENCE_F)
    figures = {
        "sensitivity": (called_NF & present_NF, present_NF, sensitivity_F),
        "specificity": (~called_NF & ~present_NF, ~present_NF, np.full(len(_AUROC_F), missed_F)),
        "PPV": (called_NF & present_NF, called_NF, true_F / (true_F + false_F)),
    }
    for name, (parts_NF, wholes_NF, truth_F) in figures.items():
        intervals = ratio_intervals(parts_NF, wholes_NF, patients_N)
        for column, interval in enumerate(intervals):
            found[name, "now", float(_PREVALENCE_F[column])].add(interval, float(truth_F[column]))


def _percentile(values_B: np.ndarray) -> Interval | None:
    """What was done before: the percentiles of the draws, where half of them are defined."""
    defined_B = values_B[np.isfinite(values_B)]
    if len(defined_B) < 0.5 * max(1, len(values_B)):
        return None
    low, high = np.percentile(defined_B, [2.5, 97.5])
    return float(low), float(high)


def _true_auprc() -> np.ndarray:
    """Average precision of the drawn scores at each prevalence, by integration over thresholds."""
    cuts_T = np.linspace(-6, 9, 30_001)[:, None]
    true_TF = norm.sf(cuts_T - np.sqrt(2) * norm.ppf(_AUROC_F)) * _PREVALENCE_F
    precision_TF = true_TF / (true_TF + norm.sf(cuts_T) * (1 - _PREVALENCE_F))
    recall_TF = true_TF / _PREVALENCE_F
    return np.asarray(-np.trapezoid(precision_TF, recall_TF, axis=0))


def _positive_patients(labels_N: np.ndarray, patients_N: np.ndarray) -> int:
    return len(np.unique(patients_N[labels_N == 1]))


def _band(positive_patients: int) -> str:
    for low, high in ((1, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 200)):
        if positive_patients <= high:
            return f"{low}–{high}"
    return "over 200"


def _print_tables(sizes: dict[int, Tallies], gained: dict[int, Tallies]) -> None:
    for measure in ("AUROC", "AUPRC"):
        print(f"\n{measure}\n")
        print("| prevalence | AUROC | " + " | ".join(
            f"{size:,} patients: percentiles | now" for size in sizes) + " |")  # fmt: skip
        print("|---|---|" + "---|---|" * len(sizes))
        for prevalence in PREVALENCES:
            for auroc in AUROCS:
                cells = [
                    str(tallies[measure, how, prevalence, auroc])
                    for tallies in sizes.values()
                    for how in ("percentile", "now")
                ]
                print(f"| {100 * prevalence:g} % | {auroc:.2f} | {' | '.join(cells)} |")
    for measure, tables in (("band", sizes), ("gain", gained)):
        together: Tallies = defaultdict(Tally)
        for tallies in tables.values():
            for key, tally in tallies.items():
                if key[0] == measure:
                    whole = together[key[1:]]
                    whole.asked += tally.asked
                    whole.held += tally.held
        print(f"\n{measure} by positive patients\n\n| positive patients | percentiles | now |")
        print("|---|---|---|")
        for low in ("1–2", "3–5", "6–10", "11–20", "21–50", "51–200", "over 200"):
            print(f"| {low} | {together['percentile', low]} | {together['now', low]} |")
    print("\n| figure | " + " | ".join(f"{size:,} patients" for size in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    rows = [("mean AUROC", how, "") for how in ("percentile", "now")]
    rows += [
        (name, "now", prevalence)
        for name in ("sensitivity", "specificity", "PPV")
        for prevalence in PREVALENCES
    ]
    for row in rows:
        cells = [str(tallies[row]) for tallies in sizes.values()]
        print(f"| {' '.join(str(word) for word in row).strip()} | {' | '.join(cells)} |")
    cells = [str(tallies["gain of the mean", "now", ""]) for tallies in gained.values()]
    print(f"| gain of the mean | {' | '.join(cells)} |")
    rows = [("without draws", tallies) for tallies in sizes.values()]
    held = [held for _, tallies in rows for key, tally in tallies.items()
            if key[:2] == ("AUROC", "without draws") for held in tally.held]  # fmt: skip
    print(f"\nAUROC by placements, without draws, all sizes: {np.mean(held):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--draws", type=int, default=400)
    settings = parser.parse_args()
    sizes, gained = {}, {}
    for size in SIZES:
        sizes[size] = areas(size, settings.samples, settings.draws)
        gained[size] = false_gains(size, settings.samples, settings.draws)
        print(f"{size:,} patients done", file=sys.stderr, flush=True)
    _print_tables(sizes, gained)


if __name__ == "__main__":
    main()
