"""Mutated files through every public door: no traceback, no hang, no file outside, bounded memory.

    python tests/faults/fuzz.py --examples 6000 [--kinds tables,events] [--seed N] [--json]

Examples are shared among the kinds, by weight. hypothesis drives the mutations, so a find is
shrunk to the smallest one; it is printed with its traceback, and the exit code is 1. Without a
seed every run draws the same examples.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz_corpus import Corpus, made_corpus
from fuzz_doors import Doors
from fuzz_mutations import STEPS, Step, mutated
from fuzz_watch import HangError, Watch, snapshot
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from core.errors import CxrError

WEIGHTS = {
    "tables": 20,
    "boxes": 10,
    "lists": 6,
    "recipes": 12,
    "images": 12,
    "predictions": 10,
    "weights": 10,
    "checkpoints": 8,
    "events": 9,
    "own tables": 6,
    "compared": 4,
    "reports": 4,
    "small files": 8,
}
_MOST_GROWTH_BYTES = 1 * 2**30
_ROOM_BYTES = 3 * 2**30
"""Of address space, beyond what the program has when it begins: more is a MemoryError."""


@dataclass
class Tally:
    """What was seen of one kind."""

    examples: int = 0
    refused: int = 0
    longest_seconds: float = 0.0  # of processor time
    grown_bytes: int = 0
    finds: list[str] = field(default_factory=list)


class BreachError(AssertionError):
    """An example did what no file may make the program do."""


def fuzz(
    kind: str, examples: int, doors: Doors, corpus: Corpus, watch: Watch, number: int
) -> Tally:
    """So many examples of one kind; every distinct find is in the tally, shrunk."""
    tally, before = Tally(), _peak_bytes()

    def example(which: int, steps: list[Step], variant: int) -> None:
        enter = _prepared(kind, which, steps, variant, doors, corpus)
        tally.examples += 1
        started = time.process_time()
        try:
            with watch.on():
                enter()
        except CxrError:
            tally.refused += 1
        tally.longest_seconds = max(tally.longest_seconds, time.process_time() - started)
        if watch.breaches:
            raise BreachError("; ".join(watch.breaches[:3]))

    run = given(st.integers(0, len(corpus[kind]) - 1), STEPS, st.integers(0, 11))(example)
    run = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=number == 0,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=True,
    )(run)
    run = seed(number)(run) if number else run
    try:
        run()
    except (Exception, HangError) as error:  # noqa: BLE001 - whatever escapes is a find
        tally.finds.append("".join(traceback.format_exception(error)))
    tally.grown_bytes = _peak_bytes() - before
    if tally.grown_bytes > _MOST_GROWTH_BYTES:
        tally.finds.append(f"memory grew by {tally.grown_bytes / 2**20:,.0f} MiB")
    return tally


def _prepared(
    kind: str, which: int, steps: list[Step], variant: int, doors: Doors, corpus: Corpus
) -> Callable[[], object]:
    if kind == "checkpoints":
        return doors.checkpoints(steps, variant)
    if kind == "own tables":
        return doors.own_tables(steps, variant)
    if kind == "small files":
        return doors.evidence.small_files(steps, variant)
    content = mutated(corpus[kind][which], steps, corpus[kind])
    return lambda: doors.by_kind[kind](content, variant)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _warm_up(doors: Doors, corpus: Corpus) -> None:
    """Everything is imported and every table of letters built before anybody listens."""
    for encoding in (
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-32-le",
        "utf-32-be",
        "cp437",
        "cp1252",
    ):
        "x".encode(encoding).decode(encoding)  # json, zipfile and tables look for them
    for kind in WEIGHTS:
        for which in range(len(corpus[kind])):
            for variant in range(12) if which == 0 else (which % 12,):
                for steps in ([], [Step(0, 2**15, 0, 0)], [Step(9, 2**15, 0, 0)]):
                    try:
                        _prepared(kind, which, steps, variant, doors, corpus)()
                    except CxrError:
                        continue


def run_all(kinds: list[str], examples: int, number: int, folder: Path) -> dict[str, Tally]:
    """Every kind's tally; the guarded folder beside the work must stay as it is."""
    guard, work = folder / "guard", folder / "work"
    guard.mkdir()
    work.mkdir()
    (guard / "precious.txt").write_text("somebody's work")
    os.chdir(guard)
    corpus = made_corpus(folder)
    doors = Doors(work, folder / "phantom")
    corpus |= doors.evidence.corpus
    _warm_up(doors, corpus)
    _limit_memory()
    watch, before = Watch(work), snapshot(guard)
    total = sum(WEIGHTS[kind] for kind in kinds)
    tallies = {}
    for kind in kinds:
        share = max(1, round(examples * WEIGHTS[kind] / total))
        tallies[kind] = fuzz(kind, share, doors, corpus, watch, number)
        if snapshot(guard) != before:
            tallies[kind].finds.append(f"files appeared or changed in {guard}")
    os.chdir("/")
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=6000)
    parser.add_argument("--kinds", default=",".join(WEIGHTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = arguments.kinds.split(",")
        tallies = run_all(kinds, arguments.examples, arguments.seed, Path(folder).resolve())
    if arguments.json:
        print(json.dumps({kind: asdict(tally) for kind, tally in tallies.items()}))
    else:
        for kind, tally in tallies.items():
            print(
                f"{kind:<12} {tally.examples:>6,} examples, {tally.refused:>6,} refused, longest "
                f"{tally.longest_seconds:.2f} s, grown {tally.grown_bytes / 2**20:.0f} MiB, "
                f"{len(tally.finds)} finds"
            )
            for find in tally.finds:
                print(find)
        print(f"peak memory {_peak_bytes() / 2**20:,.0f} MiB")
    return 1 if any(tally.finds for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
