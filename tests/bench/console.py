"""How fast the console is, and what it costs the training.

    python tests/bench/console.py [first-paint] [latency] [throughput] [long-session] [--quick]

Each part prints its figures beside its targets, as one line of JSON; without names all parts run.
Nothing else should be busy on the machine: on two cores a third busy process is most of what is
measured.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from long_session import long_session
from screen_of import ScreenOf
from training_runs import images_per_second, made_session, wait_for_steps

SIZES = {(80, 24): 60, (120, 40): 60, (200, 60): 120}
"""Terminal -> the most milliseconds from key to frame at the 99th percentile."""

_CURVES = ("chance 0.5", "learning rate", "base rate")
"""What the full stop brings to Training's chart, one after the other, from the loss on."""

_BARE = """
import os
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("bare app is up")
Bare().run()
"""


def first_paint(folder: Path, *, quick: bool) -> dict[str, Any]:
    """From the start of the process to the first frame, in turns with a bare Textual app."""
    ours = [sys.executable, "-m", "cxr_tui", "--sessions", str(folder / "none")]
    bare = [sys.executable, "-c", _BARE]
    usage = [sys.executable, "-m", "cxr_tui", "--help"]
    times: dict[str, list[float]] = {"ours": [], "bare": [], "help": []}
    for turn in range(4 if quick else 16):
        for name, argv, words in (
            ("bare", bare, "bare app is up"),
            ("ours", ours, "1 Sessions"),
            ("help", usage, "exit codes"),
        ):
            screen = ScreenOf(argv, folder=Path(__file__).parents[2])
            seconds = screen.until(words, 30) - screen.started
            screen.end()
            if turn:  # the first fills the file cache
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "bare_app_ms": _ms(times["bare"]),
        "ours_ms": _ms(times["ours"]),
        "ratio": round(medians["ours"] / medians["bare"], 2),
        "ratio_at_most": 1.5,
        "help_ms": _ms(times["help"]),
        "help_ms_at_most": 400,
    }


def latency(folder: Path, *, quick: bool) -> dict[str, Any]:
    """From a key to its frame while DenseNet121 trains, by terminal size."""
    results: dict[str, Any] = {}
    draw = random.Random(0)
    for (columns, rows), at_most in SIZES.items():
        name = made_session(folder, f"latency-{columns}x{rows}")
        screen = _console_that_trains(folder, name, columns, rows)
        screen.until("epoch 2 of")  # before that the AUROC has no curve
        waits = []
        for press in range(30 if quick else 400):
            screen.rest(draw.uniform(0.05, 0.3))
            pressed = screen.press(".")
            waits.append(screen.until(_CURVES[press % len(_CURVES)], 30) - pressed)
        screen.end()
        results[f"{columns}x{rows}"] = {
            "presses": len(waits),
            "p50_ms": round(1000 * statistics.median(waits), 1),
            "p99_ms": round(1000 * _quantile(waits, 0.99), 1),
            "max_ms": round(1000 * max(waits), 1),
            "p99_ms_at_most": at_most,
        }
    return results


def throughput(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Images a second under the console and with --batch, in blocks that take turns."""
    rates: dict[str, list[float]] = {"console": [], "batch": []}
    seconds = 15.0 if quick else 40.0
    for block in range(2 if quick else 6):
        # ABBA: a slow drift of the machine falls on both alike.
        for front in ("console", "batch") if block % 2 == 0 else ("batch", "console"):
            name = made_session(folder, f"{front}-{block}")
            session = folder / "sessions" / name
            if front == "console":
                screen = _console_that_trains(folder, name, 80, 24)
            else:
                screen = ScreenOf([*_program(folder), "--resume", str(session)], folder=folder)
                wait_for_steps(session, screen)
            screen.rest(seconds)
            screen.end()
            rates[front].append(images_per_second(session, seconds))
    ratios = [c / b for c, b in zip(rates["console"], rates["batch"], strict=True)]
    return {
        "console_images_per_s": [round(rate, 2) for rate in rates["console"]],
        "batch_images_per_s": [round(rate, 2) for rate in rates["batch"]],
        "ratio_of_medians": round(
            statistics.median(rates["console"]) / statistics.median(rates["batch"]), 3
        ),
        "ratio_by_block": [round(ratio, 3) for ratio in ratios],
        "ratio_at_least": 0.97,
    }


def _program(folder: Path) -> list[str]:
    return [sys.executable, "-m", "cxr_tui", "--cache", str(folder / "cache"), "--device", "cpu"]


def _console_that_trains(folder: Path, name: str, columns: int, rows: int) -> ScreenOf:
    """The console on a session's Training screen, past start-up and torch's import."""
    screen = ScreenOf(
        [*_program(folder), "--attach", name], columns=columns, rows=rows, folder=folder
    )
    screen.until("new")
    screen.press("1")
    screen.until("val AUROC")
    screen.press("r")
    wait_for_steps(folder / "sessions" / name, screen)
    return screen


def _ms(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(1000 * statistics.median(seconds)),
        "least": round(1000 * min(seconds)),
        "most": round(1000 * max(seconds)),
    }


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "first-paint": first_paint,
    "latency": latency,
    "throughput": throughput,
    "long-session": long_session,
}


def main() -> None:
    """Run the parts that were named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--quick", action="store_true", help="few repeats: whether it works at all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for part in given.parts or PARTS:
            figures = PARTS[part](Path(name), quick=given.quick)
            print(json.dumps({part: figures}), flush=True)


if __name__ == "__main__":
    main()
