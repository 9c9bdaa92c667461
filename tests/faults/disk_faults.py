"""A run whose disk fails at its Nth change, for each N: once or for good, full or broken.

    python tests/faults/disk_faults.py [--every 1] [--folder DIR]

The run is a whole one, in miniature: ingest, two steps, validation, checkpoints, test scoring.
Each is a process of its own, with its own session and cache, under a C library whose writes,
flushes, renames and new files can be made to fail (failing_disk.c). Failed once, a run must wait
and end with the figures of one that was left alone; failed for good, it must stop with exit code 75
and name the disk. Either way the session opens, what was acknowledged is there, and going on leads
to the same figures.
"""

from __future__ import annotations

import argparse
import errno
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from failing import Failure, on_failing_disk, restarted_with_failing_disk
from warm_start import load_libraries

if TYPE_CHECKING:
    from core.store.session import Session

ERRORS = (errno.ENOSPC, errno.EIO)
_STOPPED = 75


@dataclass
class Sweep:
    """What was seen; ``faults`` says in words what should not be."""

    changes: int = 0
    runs: int = 0
    waited: int = 0
    stopped: int = 0
    unnoticed: int = 0
    faults: list[str] = field(default_factory=list)


def sweep(data: Path, folder: Path, *, every: int, start: int = 1) -> Sweep:
    """Every so-manieth change of the run made to fail; for who was started with the library."""
    load_libraries()
    seen = Sweep()
    alone = folder / "alone"
    code, message, seen.changes = _run(data, alone, Failure())
    if code != 0:
        seen.faults.append(f"left alone it ended with {code}: {message}")
        return seen
    figures = _figures(alone)
    for failure in _failures(seen.changes, every, start):
        place = folder / "tried"
        code, message, changes = _run(data, place, failure)
        seen.runs += 1
        seen.faults += [f"{failure}: {fault}" for fault in _judge(place, failure, code, message)]
        if changes < failure.nth:
            seen.unnoticed += 1  # timed writes, such as the heartbeat, come and go
        seen.stopped += code == _STOPPED
        seen.waited += _waited(place)
        if code != 0:
            code, message, _ = _run(data, place, Failure())
        if code != 0 or _figures(place) != figures:
            seen.faults.append(f"{failure}: gone on with it ended with {code} {message}")
        shutil.rmtree(place)
        print(f"{failure}: {code}, {len(seen.faults)} faults so far", file=sys.stderr)
    return seen


def _failures(changes: int, every: int, start: int) -> Iterator[Failure]:
    for nth in range(start, changes + 1, every):
        for error in ERRORS:
            for for_good in (False, True):
                yield Failure(nth, error, for_good)


def _run(data: Path, place: Path, failure: Failure) -> tuple[int, str, int]:
    """Exit code, message and number of changes of a run in a process of its own."""
    from core.requests import Request
    from core.run import Machine, run

    session = _session(data, place, failure)
    machine = Machine("cpu", place / "cache", miniature_images=32)
    return on_failing_disk(
        place, failure, lambda: run(session, lambda _: None, lambda: Request.CONTINUE, machine)
    )


def _session(data: Path, place: Path, failure: Failure) -> Session:
    """The session of that place, made where it is not there; nothing has failed yet."""
    from core.recipe_toml import load_recipe
    from core.store.sessions import create_session, open_session

    keys = {
        "dataset.phantom": "none",
        "dataset.images": data,
        "dataset.findings": '["Cardiomegaly"]',
        "image.size_px": 32,
        "train.epochs": 1,
        "train.batch_size": 16,
        "train.optimizer": "sgd",
        "train.momentum": 0,
        "train.precision": "fp32",
        "train.disk_wait_minutes": 0 if failure.for_good else 1,
        "train.few_images_first": "never",
        "evaluate.bootstrap": 0,
    }
    if (place / "sessions" / "one").exists():
        return open_session("one", place / "sessions")
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    return create_session(place / "sessions", recipe, "one")


def _judge(place: Path, failure: Failure, code: int, message: str) -> Iterator[str]:
    """What is wrong with the session that was left, and with what was said."""
    from core.errors import CxrError
    from core.events import CheckpointWritten
    from core.store.checkpoint import LAST, read_checkpoint
    from core.store.sessions import open_session
    from core.store.summary import SessionSummary
    from cxr_tui.runs.run_view import RunView

    if code not in (0, _STOPPED) or (code == _STOPPED and not failure.for_good):
        yield f"ended with {code}: {message}"
    if code != 0 and ("disk" not in message or str(place) not in message):
        yield f"the disk is not named: {message}"
    try:
        session = open_session("one", place / "sessions")
        SessionSummary.of(session)
        view = RunView()
        acknowledged = 0
        for event in session.events():
            view.apply(event)
            if isinstance(event, CheckpointWritten):
                acknowledged = event.step
        if acknowledged:
            kept = read_checkpoint(session.checkpoints, LAST).state["progress"]["step"]
            if kept < acknowledged:
                yield f"step {acknowledged} was acknowledged, step {kept} is kept"
    except CxrError as error:
        yield f"the session can't be read: {error}"
    lines = (place / "sessions/one/events.jsonl").read_bytes().split(b"\n")
    for line in lines[:-1]:
        try:
            json.loads(line)
        except ValueError:
            yield f"a torn line stands in the middle: {line[:80]!r}"
    leftovers = [path.name for path in place.glob("sessions/one/**/.*")]
    if leftovers:
        yield f"half-written files are left: {leftovers}"


def _waited(place: Path) -> bool:
    return '"event": "Paused"' in (place / "sessions/one/events.jsonl").read_text()


def _figures(place: Path) -> bytes:
    predictions = place / "sessions/one/predictions"
    return (predictions / "val.csv").read_bytes() + (predictions / "test.csv").read_bytes()


def main() -> int:
    """The sweep over a synthetic set made for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="only each so-manieth change")
    parser.add_argument("--start", type=int, default=1, help="the first of them")
    parser.add_argument("--data", type=Path, help="a data set in NIH's format")
    parser.add_argument("--folder", type=Path, help="where to work; default: a new one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (given.folder or Path(name)).absolute()
        if (code := restarted_with_failing_disk(folder)) is not None:
            return code
        import core.run  # noqa: F401 - loaded once, before the forks
        from core.data.phantom import write_phantom

        data = given.data or folder / "set"
        if given.data is None:
            write_phantom(data, patients=60, size_px=64, seed=3)
        started = time.monotonic()
        seen = sweep(data, folder, every=given.every, start=given.start)
    print(json.dumps(vars(seen) | {"seconds": round(time.monotonic() - started)}, indent=1))
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
