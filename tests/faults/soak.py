"""A long run under the console in tmux, with keys pressed all the while: does its memory stay flat?

    python tests/faults/soak.py [--minutes 60]

The memory of the process is read every few seconds; after a warm-up its median over five minutes is
compared with that of the last five. Needs tmux.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from tmux import Tmux

_SAMPLE_SECONDS, _KEY_SECONDS, _WINDOW_SECONDS = 5.0, 15.0, 300.0
_KEYS = "414.2454l4"
"""Screens in turn, the next curve, a logarithmic axis."""


@dataclass
class Watched:
    """One process: seconds since the start, and MiB in use then."""

    started: float = field(default_factory=time.monotonic)
    seconds: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)

    def look(self, process: int) -> None:
        """Read its resident memory."""
        status = Path(f"/proc/{process}/status").read_text()
        kibibytes = next(line.split()[1] for line in status.splitlines() if "VmRSS" in line)
        self.seconds.append(time.monotonic() - self.started)
        self.mebibytes.append(int(kibibytes) / 1024)

    def median(self, start: float, end: float) -> float:
        """Over the samples between two times."""
        pairs = zip(self.seconds, self.mebibytes, strict=True)
        return statistics.median([used for at, used in pairs if start <= at < end])


def soak(folder: Path, *, minutes: float, warm_up_minutes: float) -> dict[str, object]:
    """Train under the console for so long, and stop it by its own key."""
    from core.store.sessions import open_session
    from core.store.summary import SessionSummary

    _make_session(folder)
    watched = Watched()
    argv = [sys.executable, "-m", "cxr_tui", "--cache", str(folder / "cache"), "--device", "cpu"]
    with Tmux(argv, folder=folder, columns=100, rows=30) as screen:
        screen.shows("1 session")
        screen.send("r")
        screen.shows("images/s", 120)
        session = open_session("soak", folder / "sessions")
        process = json.loads((session.path / "lock").read_text())["pid"]
        pressed = 0
        while (now := time.monotonic() - watched.started) < 60 * minutes:
            watched.look(process)
            if now > _KEY_SECONDS * pressed:
                screen.send(_KEYS[pressed % len(_KEYS)])
                pressed += 1
            time.sleep(_SAMPLE_SECONDS)
        screen.send("4")
        screen.send("q")
        screen.shows("then quit")
        screen.send("s")
        code = screen.exit_code(120)
    first = watched.median(60 * warm_up_minutes, 60 * warm_up_minutes + _WINDOW_SECONDS)
    last = watched.median(watched.seconds[-1] - _WINDOW_SECONDS, watched.seconds[-1] + 1)
    summary = SessionSummary.of(session)
    return {
        "minutes": round(watched.seconds[-1] / 60, 1),
        "samples": len(watched.seconds),
        "keys": pressed,
        "epochs": summary.epoch,
        "state": summary.state,
        "exit_code": code,
        "mib_after_warm_up": round(first, 1),
        "mib_at_the_end": round(last, 1),
        "growth": round(last / first - 1, 4),
        "most_mib": round(max(watched.mebibytes), 1),
        "every_five_minutes": [
            round(watched.median(at, at + _WINDOW_SECONDS), 1)
            for at in range(0, int(watched.seconds[-1]), int(_WINDOW_SECONDS))
        ],
    }


def _make_session(folder: Path) -> None:
    from core.data.phantom import write_phantom
    from core.recipe_toml import load_recipe
    from core.store.sessions import create_session

    write_phantom(folder / "set", patients=200, size_px=64, seed=3)
    keys = {
        "dataset.phantom": "none",
        "dataset.images": folder / "set",
        "image.size_px": 64,
        "train.epochs": 10_000,
        "train.precision": "fp32",
        "train.checkpoint_minutes": 1,
        "evaluate.bootstrap": 0,
    }
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    create_session(folder / "sessions", recipe, "soak")


def main() -> int:
    """The soak in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up-minutes", type=float, default=5)
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        seen = soak(Path(folder), minutes=given.minutes, warm_up_minutes=given.warm_up_minutes)
    print(json.dumps(seen, indent=1))
    return 0 if float(str(seen["growth"])) <= 0.03 else 1


if __name__ == "__main__":
    sys.exit(main())
