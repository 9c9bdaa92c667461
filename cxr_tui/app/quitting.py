"""The quit dialog: stay, stop with a checkpoint, or abandon the steps since the last one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cxr_tui.console.dialogs import Question
from cxr_tui.terminal.safe_text import duration

if TYPE_CHECKING:  # importing the events takes a tenth of the time to the first paint
    from cxr_tui.runs.run_view import RunView


def quit_question(name: str, view: RunView) -> Question:
    """The question while our run is active; Enter and Escape stay."""
    stop = "stop it with a checkpoint, then quit" if view.step else "stop it, then quit"
    answers = [
        ("enter", "stay"),
        ("d", "leave it running, without a screen, and quit"),
        ("s", stop),
        ("a", f"abandon it: quit immediately, {_lost(view)}"),
    ]
    return Question(f"{name} is running", _standing(view), answers)


def _standing(view: RunView) -> str:
    if view.kept is None and view.step == 0:
        return "It has no checkpoint yet: its first step hasn't been taken."
    if view.kept is None:
        return f"It has no checkpoint yet and is at step {view.step:,}."
    written, step = view.kept
    age = duration(max(0.0, time.time() - written))
    return f"It is at step {view.step:,}; its last checkpoint is of step {step:,}, {age} old."


def _lost(view: RunView) -> str:
    if view.step == 0:
        return "before its first step"
    kept = view.kept[1] if view.kept else 0
    steps = max(0, view.step - kept)
    if steps == 0:
        return "keeping every step so far"
    return f"losing the last {steps:,} step{'' if steps == 1 else 's'}"
