"""A session as long as a week's run: how soon the console is usable on it, cold."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from screen_of import ScreenOf

from core.recipe_toml import load_recipe
from core.store.sessions import create_session

STEPS = 2_000_000
"""A week at four recorded steps a second is 2.4 million."""

_EPOCHS = 20


def long_session(folder: Path, *, quick: bool) -> dict[str, Any]:
    """From the start of the process to a chart that answers keys, and to everything read."""
    steps = STEPS // 10 if quick else STEPS
    session = create_session(
        folder / "sessions", load_recipe("demo", [f"train.epochs={_EPOCHS}"]), "week"
    )
    _write_events(session.events_path, steps)
    usable, answered, whole = [], [], []
    for _ in range(2 if quick else 7):
        _forget_file(session.events_path)
        command = [sys.executable, "-m", "cxr_tui", "--attach", "week"]
        screen = ScreenOf(command, columns=120, rows=40, folder=folder)
        screen.until("base rate")  # the first chart stands, with its level
        usable.append(time.monotonic() - screen.started)
        pressed = screen.press(".")
        answered.append(screen.until("chance 0.5") - pressed)
        screen.until("20 of 20")
        whole.append(time.monotonic() - screen.started)
        screen.end()
    return {
        "steps": steps,
        "megabytes": round(session.events_path.stat().st_size / 1e6),
        "usable_s": [round(seconds, 2) for seconds in usable],
        "usable_s_median": round(statistics.median(usable), 2),
        "usable_s_at_most": 2.0,
        "key_while_reading_ms": [round(1000 * seconds) for seconds in answered],
        "all_read_s": [round(seconds, 2) for seconds in whole],
    }


def _write_events(path: Path, steps: int) -> None:
    """The demo's kinds of events at a week's length, written as the engine writes them."""
    began = 1_790_000_000.0
    between = 7 * 86_400 / steps  # seconds
    per_epoch = steps // _EPOCHS
    with path.open("w", encoding="utf-8") as stream:

        def write(event: str, at_step: int, /, **fields: object) -> None:
            line = {"event": event, "time": began + at_step * between} | fields
            stream.write(json.dumps(line) + "\n")

        write("RunStarted", 0, name="week", host="far", pid=1)
        write(
            "ModelReady",
            0,
            weights="fresh weights",
            matched_tensors=0,
            total_tensors=727,
            device="cpu",
            device_name="cpu",
            precision="fp32",
            steps_per_epoch=per_epoch,
            base_rate_loss=0.467,
        )
        for epoch in range(1, _EPOCHS + 1):
            write("EpochStarted", (epoch - 1) * per_epoch, epoch=epoch, steps=per_epoch)
            for step in range((epoch - 1) * per_epoch + 1, epoch * per_epoch + 1):
                write(
                    "StepRecorded",
                    step,
                    step=step,
                    epoch=epoch,
                    train_loss=0.7 / (1 + step / steps) + (step % 97) / 1000,
                    learning_rate=0.01,
                    gradient_norm=1.5 + (step % 13) / 10,
                    images_per_second=64.25,
                )
            mean = 0.5 + 0.4 * epoch / _EPOCHS
            write(
                "EpochDone",
                epoch * per_epoch,
                epoch=epoch,
                step=epoch * per_epoch,
                train_loss=0.4,
                val_loss=0.4,
                auroc={"Mass": mean, "Nodule": mean},
                mean_auroc=mean,
                selected_on=["Mass", "Nodule"],
                is_best=True,
                learning_rate=0.01,
                seconds=7 * 86_400 / _EPOCHS,
            )


def _forget_file(path: Path) -> None:
    """Out of the page cache, so that it is read from the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
