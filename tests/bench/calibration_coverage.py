"""How often intervals of calibration and net benefit hold the truth: the table of
docs/calibration.md.

    python tests/bench/calibration_coverage.py --samples 2000
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from simulated_calibration import Network, intervals

from tests.bench.coverage import Tally

SIZES = (30, 100, 1_000)
NETWORKS = {"right": Network(), "too extreme and too high": Network(bend=0.7, shift=0.4)}


def tables(samples: int, sizes: tuple[int, ...] = SIZES) -> None:
    """Print one for each network."""
    for name, network in NETWORKS.items():
        truth = network.truth()
        found: dict[tuple[int, str], Tally] = defaultdict(Tally)
        above = {}
        for size in sizes:
            too_high = 0.0
            for each in intervals(size, samples, network=network):
                too_high += each["above"][0]
                for figure, value in truth.items():
                    found[size, figure].add(each[figure], value)
            above[size] = too_high / samples
            print(f"{name}, {size:,} positive patients done", file=sys.stderr, flush=True)
        print(f"\nprobabilities are {name}; {samples:,} samples\n")
        print("| figure | " + " | ".join(f"{size:,} positive patients" for size in sizes) + " |")
        print("|---|" + "---|" * len(sizes))
        for figure in truth:
            print(f"| {figure} | {' | '.join(str(found[size, figure]) for size in sizes)} |")
        print("| ECE above its limit | " + " | ".join(
            f"{above[size]:.1%}".replace("%", " %") for size in sizes) + " |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    settings = parser.parse_args()
    tables(settings.samples, tuple(settings.sizes))


if __name__ == "__main__":
    main()
