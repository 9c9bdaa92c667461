"""How often intervals of gaps between groups hold the truth, and how often equal groups differ.

Patients with NIH's numbers of images, alike within a patient; sex belongs to the patient, view to
the image, so that patients are in both groups of a view. First nothing differs between groups, then
positive images of women, and of AP, score lower. Prints the tables of docs/subgroups.md:

    python tests/bench/subgroup_coverage.py --samples 1000
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from simulated_patients import simulated

from core.evaluation.predictions import Predictions
from core.evaluation.subgroups.subgroup_report import subgroup_report

NAMES = ("Mass", "Edema", "Effusion")
PREVALENCE_F, AUROC_F = np.array([0.05, 0.1, 0.3]), np.array([0.8, 0.9, 0.75])
SIZES = (300, 1_000, 2_797)
_CUT, _OFFSET = 1.0, 2.0  # the threshold, and what makes scores small, on the logit scale
_FIGURES = ("auroc", "sensitivity", "false_positive_rate", "calibration_in_the_large")


@dataclass
class Found:
    """By attribute and figure: whether intervals held the truth; and reports with a false alarm."""

    held: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    alarms: list[bool] = field(default_factory=list)

    def share(self, by: str, figure: str) -> float:
        return float(np.mean(self.held[by, figure]))


def drawn(patients: int, seed: int, lower: float) -> tuple[Predictions, dict[str, Any]]:
    """A part in which positive images of women, and of AP, score lower by so many deviations."""
    rng = np.random.default_rng([patients, seed])
    part = simulated(rng, patients, PREVALENCE_F, AUROC_F)
    owners_N = part.patients_N
    sexes_P = rng.choice(np.array(["female", "male"], dtype=object), patients)
    views_N = rng.choice(np.array(["AP", "PA"], dtype=object), len(owners_N), p=[0.4, 0.6])
    sexes_N = sexes_P[owners_N]
    less_N = lower * (sexes_N == "female") + lower * (views_N == "AP")
    scores_NF = part.scores_NF - less_N[:, None] * part.labels_NF
    names_N = np.array([f"{row}.png" for row in range(len(owners_N))], dtype=object)
    predictions = Predictions(names_N, owners_N, NAMES, part.labels_NF, expit(scores_NF - _OFFSET))
    return predictions, {"sex": sexes_N, "view": views_N}


def true_gap(figure: str, by: str, finding: int, lower: float) -> float:
    """The group's figure minus the rest's; of calibration known only where nothing differs."""
    share = 0.4 if by == "sex" else 0.5  # of the other attribute's lower group
    ahead = np.sqrt(2) * norm.ppf(AUROC_F[finding])

    def of(own: float) -> float:
        each = ((1 - share, ahead - own), (share, ahead - own - lower))
        scale, cut = (np.sqrt(2), 0.0) if figure == "auroc" else (1.0, _CUT)
        return float(sum(part * norm.cdf((mean - cut) / scale) for part, mean in each))

    return 0.0 if figure == "false_positive_rate" else of(lower) - of(0.0)


def gaps(patients: int, samples: int, lower: float = 0.0) -> Found:
    """Coverage, and reports in which a gap stands though nothing differs, in so many samples."""
    found = Found()
    thresholds = dict.fromkeys(NAMES, float(expit(_CUT - _OFFSET)))
    for sample in range(samples):
        predictions, attributes = drawn(patients, sample, lower)
        report = subgroup_report(
            predictions, predictions.patients, attributes, thresholds, with_intervals=True
        )
        found.alarms.append(any(_stands(group) for group in report))
        for group in report:
            if group["group"] not in ("female", "AP"):
                continue
            for column, name in enumerate(NAMES):
                for figure, gap in group["findings"][name]["gaps"].items():
                    if gap["ci"] is None or (lower and figure == "calibration_in_the_large"):
                        continue
                    truth = true_gap(figure, group["by"], column, lower)
                    held = gap["ci"][0] <= truth <= gap["ci"][1]
                    found.held[group["by"], figure].append(held)
    return found


def _stands(group: dict[str, Any]) -> bool:
    every = [gap for of in group["findings"].values() for gap in of["gaps"].values()]
    every.append(group["underdiagnosis"]["gap"])
    return any(gap is not None and (gap["p_holm"] or 1) < 0.05 for gap in every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    samples = parser.parse_args().samples
    print("| patients | groups | " + " | ".join(_FIGURES) + " | a gap stands |")
    print("|---" * (3 + len(_FIGURES)) + "|")
    for patients in SIZES:
        for lower in (0.0, 0.3):
            found = gaps(patients, samples, lower)
            for by in ("sex", "view"):
                cells = [
                    f"{100 * found.share(by, figure):.1f} %" if found.held[by, figure] else "–"
                    for figure in _FIGURES
                ]
                what = f"{by}, {'different' if lower else 'equal'}"
                stands = f"{100 * np.mean(found.alarms):.1f} %"
                print(f"| {patients:,} | {what} | {' | '.join(cells)} | {stands} |", flush=True)


if __name__ == "__main__":
    main()
