"""A queue with several workers, of which one is killed twice, on a disk that fills up once.

    unshare --map-root-user --mount python tests/faults/queue_faults.py DATA MOUNT_POINT ENTRIES
    python tests/faults/queue_faults.py --entries 6

Entries are added by two processes and by command, all at once. What was seen is printed as JSON:
how every entry ended, how often each session was finished, and whether its predictions are those
of a run of the same recipe that was made alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

import warm_start
from small_disk import fill

_MEBIBYTES = 1200
_LONGEST_SECONDS = 900
_PROGRAM = [sys.executable, "-m", "cxr_tui"]
_ADD = """
import sys
from pathlib import Path
from core.recipe_toml import load_recipe
from core.store.queue.queue import Queue
Queue(Path(sys.argv[1])).add(load_recipe("demo", sys.argv[3:]), sys.argv[2])
"""


def queue_of_faults(data: Path, mount_point: Path, entries: int) -> list[str]:
    """The command that does it, in a mount namespace of its own."""
    program = [sys.executable, __file__, str(data), str(mount_point), str(entries)]
    return ["unshare", "--map-root-user", "--mount", *program]


def _keys(data: Path, seed: int) -> list[str]:
    keys = {
        "dataset.phantom": "none",
        "dataset.images": data,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
        "image.size_px": 32,
        "subset.max_images": 45,
        "train.epochs": 6,
        "train.batch_size": 8,
        "train.optimizer": "sgd",
        "train.momentum": 0,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "train.seed": seed,
        "evaluate.bootstrap": 0,
    }
    return [f"{key}={value}" for key, value in keys.items()]


class Faults:
    """The disk, the workers and what is done to them."""

    def __init__(self, data: Path, disk: Path, entries: int) -> None:
        self._data, self._disk, self._entries = data, disk, entries
        self._sessions, self._cache = disk / "sessions", disk / "cache"
        self._beside = disk.parent / "alone"
        self._kills, self._reasons = 0, [""]
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def seen(self) -> dict[str, Any]:
        """Do it all."""
        options = ["-t", "tmpfs", "-o", f"size={_MEBIBYTES}m"]
        subprocess.run(["mount", *options, "tmpfs", str(self._disk)], check=True)
        self._alone()
        self._add()
        self._start("one")
        self._kill("one")
        self._start("one")
        self._start("two")
        self._kill("one")
        self._start("one")
        self._fill_once()
        codes = {name: worker.wait(_LONGEST_SECONDS) for name, worker in self._workers.items()}
        return {"codes": codes, "kills": self._kills, "reasons": self._reasons, **self._ends()}

    def _alone(self) -> None:
        for number in range(self._entries):
            sets = [part for key in _keys(self._data, number) for part in ("--set", key)]
            self._run("--batch", "demo", *sets, "--session", f"run-{number}", alone=True)

    def _add(self) -> None:
        adding = []
        for number in range(self._entries):
            keys, name = _keys(self._data, number), f"run-{number}"
            if number < 2:
                command = [sys.executable, "-c", _ADD, str(self._sessions), name, *keys]
            else:
                sets = [part for key in keys for part in ("--set", key)]
                places = ["--sessions", str(self._sessions), "--session", name]
                command = [*_PROGRAM, "queue", "add", "demo", *sets, *places]
            adding.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        assert [process.wait() for process in adding] == [0] * self._entries

    def _run(self, *arguments: str, alone: bool) -> None:
        sessions = self._beside if alone else self._sessions
        places = ["--sessions", str(sessions), "--cache", str(self._cache), "--device", "cpu"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        warm_start.run([*_PROGRAM, *arguments, *places], check=True, **quiet)  # type: ignore[call-overload]

    def _start(self, name: str) -> None:
        places = ["--sessions", str(self._sessions), "--cache", str(self._cache)]
        with (self._disk / f"{name}.log").open("ab") as log:
            self._workers[name] = warm_start.Popen(
                [*_PROGRAM, "queue", "run", "--until-empty", "--device", "cpu", *places],
                stdout=log,
                stderr=log,
            )

    def _kill(self, name: str) -> None:
        """Kill it by SIGKILL once a run of its own has written a checkpoint."""
        worker = self._workers[name]
        _until(lambda: self._has_checkpoint(worker.pid), f"worker {name} writes a checkpoint")
        worker.kill()
        worker.wait()
        self._kills += 1

    def _has_checkpoint(self, pid: int) -> bool:
        for events in self._events().values():
            is_its = False
            for event in events:
                if event["event"] == "RunStarted":
                    is_its = event["pid"] == pid
                elif is_its and event["event"] == "CheckpointWritten":
                    return True
        return False

    def _fill_once(self) -> None:
        """Fill the disk at the next step, until a run waits for space."""
        before = self._count("StepRecorded")
        _until(lambda: self._count("StepRecorded") > before, "another step")
        ballast = self._disk / "ballast"
        fill(ballast)
        _until(self._is_waiting, "a run waits for space")
        ballast.unlink()

    def _is_waiting(self) -> bool:
        """Whether a run says so; its event may not fit on the disk, so on stderr."""
        said = "".join(
            (self._disk / f"{name}.log").read_text(errors="replace") for name in self._workers
        )
        self._reasons = [line for line in said.splitlines() if "no room" in line]
        return bool(self._reasons)

    def _count(self, kind: str) -> int:
        return sum(one["event"] == kind for events in self._events().values() for one in events)

    def _events(self) -> dict[str, list[dict[str, Any]]]:
        return {
            path.parent.name: list(_whole_lines(path))
            for path in self._sessions.glob("*/events.jsonl")
        }

    def _ends(self) -> dict[str, Any]:
        command = [*_PROGRAM, "queue", "--json", "--sessions", str(self._sessions)]
        told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        events = self._events()
        return {
            "states": {one["session"]: one["state"] for one in told["entries"]},
            "order": [one["entry"] for one in told["entries"]],
            "sessions": sorted(events),
            "finished": {
                name: sum(event["event"] == "Finished" for event in of_it)
                for name, of_it in events.items()
            },
            "starts": {
                name: sum(event["event"] == "RunStarted" for event in of_it)
                for name, of_it in events.items()
            },
            "same": {name: self._is_as_alone(name) for name in events},
            "said": {name: (self._disk / f"{name}.log").read_text() for name in self._workers},
        }

    def _is_as_alone(self, name: str) -> bool:
        files = ("predictions/val.csv", "predictions/test.csv")
        return all(
            (self._sessions / name / file).read_bytes() == (self._beside / name / file).read_bytes()
            for file in files
        )


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not within {_LONGEST_SECONDS} s: {what}"
        time.sleep(0.05)


def faults_of(seen: dict[str, Any], entries: int) -> list[str]:
    """What is not as it must be: every entry ended, none twice, all as if made alone."""
    runs = [f"run-{number}" for number in range(entries)]
    expected = {
        "kills": 2,
        "codes": {"one": 0, "two": 0},
        "sessions": runs,
        "states": dict.fromkeys(runs, "finished"),
        "finished": dict.fromkeys(runs, 1),
        "same": dict.fromkeys(runs, True),
    }
    faults = [f"{key}: {seen[key]}" for key, value in expected.items() if seen[key] != value]
    if not seen["reasons"]:
        faults.append("no run waited for space")
    starts = sum(seen["starts"].values())
    # Those of killed workers were gone on with; each worker may start one on the full disk.
    if not entries < starts <= entries + 2 + 2:
        faults.append(f"{starts} starts of {entries} entries")
    return faults


def _soak(entries: int) -> int:
    """So many entries on a set of their own; the exit code is 1 after a fault."""
    from core.data.phantom import write_phantom

    # As in tests/conftest.py: networks so small only wait for a second thread.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        data, disk = Path(folder) / "set", Path(folder) / "disk"
        write_phantom(data, patients=60, size_px=64, seed=3)
        disk.mkdir()
        done = subprocess.run(
            queue_of_faults(data, disk, entries), capture_output=True, text=True, check=True
        )
    seen = json.loads(done.stdout)
    faults = faults_of(seen, entries)
    print(f"{entries} entries, {seen['kills']} kills, {sum(seen['starts'].values())} starts")
    print("\n".join(faults) or "every entry ended, none twice, all as if made alone")
    return 1 if faults else 0


if __name__ == "__main__":
    if sys.argv[1] == "--entries":
        sys.exit(_soak(int(sys.argv[2])))
    print(json.dumps(Faults(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).seen()))
