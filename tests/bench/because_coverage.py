"""How often the intervals of a difference's parts hold the truth, cause by cause.

Patients with NIH's numbers of images, alike within a patient. Some are hard: sex and age decade
belong to the patient, view to the image, and each makes scores less or more telling. The external
set is of the same population, or differs in one thing. The truth is the same taking apart of two
samples of 60,000 patients. Prints the tables of docs/intervals.md:

    python tests/bench/because_coverage.py --samples 1000
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from simulated_patients import simulated

from core.evaluation.external.because import AUROC_PARTS, LOG_LOSS_PARTS, Sample, because_of
from core.evaluation.external.case_mix import CaseMix

CAUSES = {
    "nothing": {},
    "case mix": {"mix": 0.75},
    "prevalence": {"prevalence": 0.1},
    "calibration": {"stretch": 2.5, "shift": 0.0},
    "noise": {"less": 0.8},
}
"""What the external set has otherwise; the part in which it shows has the same name, or is rest."""

PARTS = (
    *(("because", part) for part in AUROC_PARTS),
    *(("because_log_loss", p) for p in LOG_LOSS_PARTS),
)
_PREVALENCE, _AUROC = 0.3, 0.85
_TRUE_PATIENTS = 60_000


@dataclass
class Held:
    """By part: whether its interval held the truth, and whether it left out 0."""

    truth: dict[tuple[str, str], float]
    held: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    told: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))

    def share(self, *part: str) -> float:
        return float(np.mean(self.held[part]))

    def share_told(self, *part: str) -> float:
        return float(np.mean(self.told[part]))


def drawn(
    rng: np.random.Generator,
    patients: int,
    *,
    mix: float = 0.4,
    prevalence: float = _PREVALENCE,
    stretch: float = 1.0,
    shift: float = 0.0,
    less: float = 0.0,
) -> tuple[Sample, NDArray[np.int64]]:
    """A side and its strata, of which the hard ones are drawn with probability ``mix``."""
    part = simulated(rng, patients, np.array([prevalence]), np.array([_AUROC]))
    owners_N = part.patients_N
    labels_N = part.labels_NF[:, 0]
    old_P = rng.random(patients) < mix
    decades_P = np.where(old_P, rng.integers(6, 9, patients), rng.integers(2, 6, patients))
    sexes_P = rng.integers(1, 3, patients)
    ap_N = rng.random(len(owners_N)) < mix
    strata_N = 100 * decades_P[owners_N] + 10 * sexes_P[owners_N] + ap_N
    ahead = np.sqrt(2) * norm.ppf(_AUROC)
    harder_N = less + 0.4 * old_P[owners_N] + 0.4 * ap_N
    scores_N = part.scores_NF[:, 0] - np.minimum(harder_N, ahead) * labels_N
    logits_N = ahead * scores_N - ahead**2 / 2 + np.log(_PREVALENCE / (1 - _PREVALENCE))
    logits_N = stretch * logits_N + shift
    return Sample.of(labels_N, 1 / (1 + np.exp(-logits_N)), owners_N), strata_N


def taken_apart(seed: list[int], patients: int, other: dict[str, float]) -> dict[str, Any]:
    """What ``because_of`` says of an external sample and one of the session's own."""
    rng = np.random.default_rng(seed)
    external, strata_N = drawn(rng, patients, **other)
    internal, strata_M = drawn(rng, patients)
    return because_of(
        external, internal, CaseMix(strata_N, strata_M, ("age decade", "sex", "view"))
    )


def coverage(cause: str, patients: int, samples: int, true: int = _TRUE_PATIENTS) -> Held:
    """Coverage of each part in so many pairs of samples."""
    other = CAUSES[cause]
    found = Held(dict.fromkeys(PARTS, 0.0))
    if other:  # else both are of one population
        large = taken_apart([0], true, other)
        found = Held({(of, part): large[of][part] for of, part in PARTS})
    for sample in range(1, samples + 1):
        one = taken_apart([patients, sample], patients, other)
        for of, part in PARTS:
            ends = one[f"{of}_ci"][part]
            if ends is None:
                continue
            found.held[of, part].append(ends[0] <= found.truth[of, part] <= ends[1])
            found.told[of, part].append(not ends[0] <= 0 <= ends[1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--patients", type=int, nargs="+", default=[150, 600])
    arguments = parser.parse_args()
    names = [
        f"{'AUROC' if of == 'because' else 'log loss'}: {p.replace('_', ' ')}" for of, p in PARTS
    ]
    print("| patients on a side | what differs | " + " | ".join(names) + " |")
    print("|---" * (2 + len(names)) + "|")
    for patients in arguments.patients:
        for cause in CAUSES:
            found = coverage(cause, patients, arguments.samples)
            cells = []
            for part in PARTS:
                held, told = found.share(*part), found.share_told(*part)
                cells.append(f"{found.truth[part]:+.3f}: {held:.1%}, told {told:.0%}")
            print(f"| {patients} | {cause} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
