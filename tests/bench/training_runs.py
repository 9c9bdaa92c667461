"""Sessions that train DenseNet121 at full rate for as long as they are watched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from screen_of import ScreenOf

from core.recipe_toml import load_recipe
from core.store.sessions import create_session

_WARM_UP_STEPS = 12


def made_session(folder: Path, name: str) -> str:
    """A session of the demo that would train for days: one epoch is hundreds of steps."""
    keys = {
        "dataset.phantom": {"patients": 600, "size_px": 128, "seed": 0},
        "train.epochs": 10_000,
        "train.batch_size": 16,
    }
    changes = [f"{key}={_toml(value)}" for key, value in keys.items()]
    create_session(folder / "sessions", load_recipe("demo", changes), name)
    return name


def wait_for_steps(session: Path, screen: ScreenOf) -> None:
    """Past start-up: torch is loaded and the first steps, slow ones, are done."""
    while _last_step(session) < _WARM_UP_STEPS:
        screen.rest(0.5)
        if screen.process.poll() is not None:
            raise RuntimeError(f"ended: {bytes(screen.seen[-2000:])!r}")


def images_per_second(session: Path, seconds: float) -> float:
    """Rate of the training steps in the last seconds of a run; validation is left out."""
    steps = [event for event in _events(session) if event["event"] == "StepRecorded"]
    since = steps[-1]["time"] - seconds
    window = [event for event in steps if event["time"] >= since]
    rates = [event["images_per_second"] for event in window]
    # Harmonic mean: each record covers about the same number of steps.
    return len(rates) / sum(1 / rate for rate in rates)


def _last_step(session: Path) -> int:
    steps = [event["step"] for event in _events(session) if event["event"] == "StepRecorded"]
    return int(steps[-1]) if steps else 0


def _events(session: Path) -> list[dict[str, Any]]:
    path = session / "events.jsonl"
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # the last line may be half written
    return [json.loads(line) for line in whole.splitlines()]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {item}" for key, item in value.items()) + "}"
    return str(value)
