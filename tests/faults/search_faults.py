"""A search whose process is killed again and again, and one that several workers share.

    python tests/faults/search_faults.py --trials 20 --kills 3
    python tests/faults/search_faults.py --trials 20 --kills 1 --workers 4

With more than one worker the study is in a PostgreSQL server of our own, and the workers are on two
hosts, as far as they can tell: they have two sessions' folders. After each kill the same command
goes on. What was seen is printed as JSON; ``faults`` must be empty: no trial lost or run twice,
pruned ones under half of all epochs, and every test part still closed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import warm_start
from postgres import has_postgres, postgres

from core.store.ledger import LEDGER
from core.store.session import Session
from core.store.sessions import list_sessions

_NAME = "night"
_LONGEST_SECONDS = 4 * 3600
_ENDS = ("complete", "pruned")
_IN_A_TRIAL = ("StepRecorded", "EpochDone", "EpochStarted", "CheckpointWritten")


class SearchFaults:
    """The workers of one search, and what is done to them."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, storage: str | None) -> None:
        self._folder, self._arguments, self._storage = folder, arguments, storage
        self._hosts = [folder / "one"] if storage is None else [folder / "one", folder / "two"]
        self._workers: dict[int, subprocess.Popen[str]] = {}
        self._killed: list[str] = []

    def seen(self) -> dict[str, Any]:
        """Do it all."""
        began = time.time()
        for host in self._hosts:
            host.mkdir()
        for number in range(self._arguments.workers):
            self._start(number)
            if number == 0:  # the others join a search that is there
                self._until(lambda: bool(self._trials()), "a trial")
        for number in range(self._arguments.kills):
            self._kill(number)
        ends = {number: self._ended(number) for number in sorted(self._workers, reverse=True)}
        found = json.loads(ends[0][1])
        (self._folder / "report.json").write_text(ends[0][1])
        states = Counter(one["state"] for one in found["trials"])
        return {
            "minutes": round((time.time() - began) / 60, 1),
            "killed": self._killed,
            "states": states,
            "trials_by_host": [self._num_trials(host) for host in self._hosts],
            "pruned_share_of_epochs": found["pruned_share_of_epochs"],
            "best": found["best"] and found["best"]["session"],
            "optimism": found["optimism"],
            "gain": found["gain"],
            "gain_ci": found["gain_ci"],
            "faults": [*self._faults(found), *(f"exit code {c}" for c, _ in ends.values() if c)],
        }

    def _command(self, number: int) -> list[str]:
        said = self._arguments
        keys = {
            "dataset.phantom.patients": said.patients,
            "dataset.phantom.size_px": max(64, said.size_px),
            "image.size_px": said.size_px,
            "train.epochs": said.epochs,
            "train.few_images_first": "never",
            "train.min_positive_patients": 2,
        }
        if said.images:
            keys |= {"subset.max_images": said.images, "train.min_positive_patients": 1}
        command = [sys.executable, "-m", "cxr_tui", "search", "demo", "--name", _NAME, "--json"]
        command += [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
        command += ["--sessions", str(self._host(number) / "s"), "--device", "cpu"]
        command += ["--cache", str(self._folder / "cache"), "--seeds", str(said.seeds)]
        command += ["--storage", self._storage] if self._storage else []
        return [*command, *(["--join"] if number else ["--trials", str(said.trials)])]

    def _host(self, number: int) -> Path:
        return self._hosts[number % len(self._hosts)]

    def _start(self, number: int) -> None:
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            self._workers[number] = warm_start.Popen(
                self._command(number),
                env=os.environ | ({"OMP_NUM_THREADS": "1"} if self._arguments.workers > 1 else {}),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _kill(self, number: int) -> None:
        """Kill a worker in the middle of a trial that is so far in the search, and go on."""
        reached = self._arguments.trials * (number + 1) // (self._arguments.kills + 1)
        worker = (number + 1) % len(self._workers)
        self._until(lambda: len(self._trials()) > reached, f"trial {reached}")
        self._until(lambda: self._is_stopped_in_a_trial(worker), f"worker {worker} in a trial")
        self._workers[worker].kill()
        self._workers[worker].communicate()
        self._start(worker)

    def _is_stopped_in_a_trial(self, worker: int) -> bool:
        """Hold the process for a moment, and leave it so where it has begun a step of a trial."""
        self._workers[worker].send_signal(signal.SIGSTOP)
        pid = self._workers[worker].pid
        for session in self._trials():
            events = list(_events(session))
            starts = [one for one in events if one["event"] == "RunStarted"]
            if starts and starts[-1]["pid"] == pid and events[-1]["event"] in _IN_A_TRIAL:
                self._killed.append(session.name)
                return True
        self._workers[worker].send_signal(signal.SIGCONT)
        return False

    def _trials(self) -> list[Session]:
        return [
            one
            for host in self._hosts
            for one in list_sessions(host / "s")
            if "-trial-" in one.name
        ]

    def _num_trials(self, host: Path) -> int:
        return sum("-trial-" in one.name for one in list_sessions(host / "s"))

    def _until(self, holds: Any, what: str) -> None:
        end = time.monotonic() + _LONGEST_SECONDS
        while not holds():
            codes = {number: worker.poll() for number, worker in self._workers.items()}
            if set(codes.values()) != {None} and codes.get(0) is not None:
                raise RuntimeError(f"{what}: the workers ended with {codes}")
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {_LONGEST_SECONDS} s")
            time.sleep(0.2)

    def _ended(self, number: int) -> tuple[int, str]:
        out, _ = self._workers[number].communicate(timeout=_LONGEST_SECONDS)
        return self._workers[number].returncode, out

    def _faults(self, found: dict[str, Any]) -> Iterator[str]:
        trials, sessions = found["trials"], self._trials()
        numbers = sorted(one["number"] for one in trials)
        if self._arguments.workers == 1 and numbers != list(range(self._arguments.trials)):
            yield f"trials {numbers}"
        if len(trials) != self._arguments.trials or len(set(numbers)) != len(numbers):
            yield f"{len(trials)} trials: {numbers}"
        if Counter(one.name for one in sessions) != Counter(one["session"] for one in trials):
            yield f"sessions {sorted(one.name for one in sessions)}"
        states = {one["session"]: one["state"] for one in trials}
        if unended := [name for name, state in states.items() if state not in _ENDS]:
            yield f"neither complete nor pruned: {unended}"
        if (found["pruned_share_of_epochs"] or 0.0) >= 0.5:
            yield f"pruned trials took {found['pruned_share_of_epochs']} of all epochs"
        yield from self._session_faults(sessions, states)

    def _session_faults(self, sessions: Sequence[Session], states: dict[str, str]) -> Iterator[str]:
        for session in sessions:
            kinds = Counter(one["event"] for one in _events(session))
            kills = self._killed.count(session.name)
            if not 1 <= kinds["RunStarted"] <= 1 + kills:
                yield f"{session.name} was started {kinds['RunStarted']} times, killed {kills}"
            if kinds["Finished"] != (states.get(session.name) == "complete"):
                yield f"{session.name} is {states.get(session.name)}, finished {kinds['Finished']}"
        for host in self._hosts:
            for session in list_sessions(host / "s"):
                if not session.recipe.evaluate.sealed:
                    yield f"{session.name} is not sealed"
                if (session.predictions / "test.csv").exists():
                    yield f"{session.name} has scored test"
            if (host / "s" / LEDGER).exists():
                yield f"{host.name}: the ledger of looks at test has lines"


def _events(session: Session) -> Iterator[dict[str, Any]]:
    try:
        text = session.events_path.read_text()
    except OSError:
        return
    yield from (json.loads(line) for line in text.split("\n")[:-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--images", type=int, help="at most so many in each part")
    parser.add_argument("--folder", type=Path, help="kept afterwards (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxr-search-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.workers == 1:
            seen = SearchFaults(folder, arguments, None).seen()
        elif has_postgres():
            with postgres() as (address, _):
                seen = SearchFaults(folder, arguments, address).seen()
        else:
            print('{"skipped": "no PostgreSQL server: as root, apt-get install postgresql"}')
            return 0
    print(json.dumps(seen, indent=1))
    return 1 if seen["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
