"""Predictions a second beside what decoding and the network allow one after the other.

    python tests/bench/predict_speed.py SESSION FOLDER [--images 10000] [--round 128] [--device cpu]

FOLDER has images, which are taken again and again until there are as many as asked for. Decoding
(d), the network (n) and ``predict`` itself, with flags, digests and rows on disk, take turns, a
round of images each; a line has the medians, the lowest and the highest. One after the other would
be 1/(1/d + 1/n). The last line has the peak memory of the process at the first round and at the
end, and what a million names cost.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from core.data.cache.ingest import usable_cores
from core.data.images.given_decoding import DecodedImage, decoded_ahead
from core.data.images.given_images import GivenImage, GivenImages
from core.evaluation.predicting.guard.guard_source import with_guard
from core.evaluation.predicting.predictor import Predictor, open_predictor
from core.evaluation.predicting.row_file import RowFile
from core.evaluation.predicting.rows import cells_of
from core.store.session import Session

_MILLION = 1_000_000


def main() -> None:
    """Measure, and print a table."""
    arguments = _arguments()
    predictor = with_guard(
        open_predictor(Session(arguments.session.resolve()), arguments.device), arguments.cache
    )
    images = list(GivenImages([str(arguments.folder)]))
    endless = _numbered(itertools.cycle(images))
    rates: dict[str, list[float]] = {"decoding": [], "network": [], "predict": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.csv"
        with RowFile(out, predictor.findings, resume=False) as rows:
            _predicted(predictor, itertools.islice(endless, arguments.round), rows)  # warms up
            first_mib = _peak_mib()
            for _ in range(max(1, arguments.images // arguments.round)):
                some = list(itertools.islice(endless, arguments.round))
                started = time.perf_counter()
                decoded = _decoded(predictor, some)
                rates["decoding"].append(len(some) / (time.perf_counter() - started))
                started = time.perf_counter()
                _seen(predictor, decoded)
                rates["network"].append(len(some) / (time.perf_counter() - started))
                started = time.perf_counter()
                _predicted(predictor, some, rows)
                rates["predict"].append(len(some) / (time.perf_counter() - started))
            scored = rows.totals.scored
            last_mib = _peak_mib()
            before_mib = _held_mib()
            for number in range(_MILLION):
                rows.is_new(f"/data/hospital/{number:012d}.dcm")
            names_mib = _held_mib() - before_mib
    _print(rates, scored)
    print(
        f"peak memory: {first_mib:,.0f} MiB after the first round, {last_mib:,.0f} MiB at the end; "
        f"a million names: {names_mib:,.0f} MiB"
    )


def _print(rates: dict[str, list[float]], scored: int) -> None:
    one_after_the_other = [
        1 / (1 / decoding + 1 / network)
        for decoding, network in zip(rates["decoding"], rates["network"], strict=True)
    ]
    print(f"{scored:,} images scored, {usable_cores()} cores")
    print("| part | images/s | lowest | highest |\n|---|---|---|---|")
    for name, values in {**rates, "one after the other": one_after_the_other}.items():
        print(
            f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |"
        )
    shares = [
        whole / both for whole, both in zip(rates["predict"], one_after_the_other, strict=True)
    ]
    print(
        f"predict / one after the other: {statistics.median(shares):.2f} "
        f"({min(shares):.2f} to {max(shares):.2f}); target ≥ 0.9"
    )


def _numbered(images: Iterable[GivenImage]) -> Iterator[GivenImage]:
    """The same images under names of their own."""
    for number, image in enumerate(images):
        yield GivenImage(f"{number:07d}-{image.file}", image.path)


def _decoded(predictor: Predictor, images: list[GivenImage]) -> list[DecodedImage]:
    ahead = 2 * predictor.batch_size
    decoding = decoded_ahead(images, predictor.rule, threads=usable_cores(), ahead=ahead)
    return [image for image in decoding if image.pixels_SS is not None]


def _seen(predictor: Predictor, decoded: list[DecodedImage]) -> None:
    size = predictor.batch_size
    for start in range(0, len(decoded), size):
        some = [one.pixels_SS for one in decoded[start : start + size]]
        predictor.seen(np.stack([pixels for pixels in some if pixels is not None]))


def _predicted(predictor: Predictor, images: Iterable[GivenImage], rows: RowFile) -> None:
    for batch in predictor.batches(images):
        rows.add([cells_of(row, predictor.findings, predictor.thresholds) for row in batch.rows])


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _held_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("session", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--round", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path("cache").absolute())
    return parser.parse_args()


if __name__ == "__main__":
    main()
