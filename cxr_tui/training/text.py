"""What Training says in words: the line on top, what needs attention, the bar, the messages."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.text import Text

from cxr_tui.runs.health_text import GRAVE
from cxr_tui.runs.liveness import GONE, INTERRUPTED, SILENT, Liveness
from cxr_tui.runs.run_view import MARKS, RunView, answer_in_log
from cxr_tui.terminal.hanging import INDENT
from cxr_tui.terminal.safe_text import duration, name_shortened, shortened, visible

_STAGES = {"starting": "loading torch", "validation": "validating"}
_ASKED = "asked to pause"
_SHORTEST_NAME, _SHORTEST_BAR, _LONGEST_BAR = 12, 6, 40
_WARNINGS, _LINES = 5, 100
_ROOMY = 110
_ALWAYS = 0
_MOST_LINES_OF_A_MESSAGE = 3


def stage_words(view: RunView) -> str:
    """What the run does now, where that is not training."""
    if view.is_stopping:
        return "stopping after this step" if view.step else "stopping before the first step"
    return _STAGES.get(view.stage, view.stage) if view.stage != "training" else ""


def waiting_words(view: RunView, share_read: float | None) -> str:
    """What stands in place of a curve that has no point yet."""
    if share_read is not None:
        return f"reading the session, {100 * share_read:.0f} %"
    if view.state not in ("running", "paused"):
        return "no step was recorded"
    if view.model is not None and view.stage in ("training", "preparing"):
        return "the first step takes a moment"
    return f"{visible(stage_words(view)) or 'preparing'} …"


def head(
    name: str, view: RunView, liveness: Liveness, share_read: float | None, width: int
) -> Text:
    """Which session, its state, where it is; what matters least gives way where room is short."""
    parts = list(_head_parts(view, liveness, share_read))
    shortest = min(len(name), _SHORTEST_NAME) + 2
    while sum(len(part) + 3 for _, part in parts) + shortest > width:
        least = max(parts, key=lambda part: part[0])
        if least[0] == _ALWAYS:
            break
        parts.remove(least)
    rest = "".join(f" · {part}" for _, part in parts)
    room = max(_SHORTEST_NAME, width - len(rest) - 2)
    shown = f" {name_shortened(visible(name), room)}"
    text = Text(shown, style="bold", no_wrap=True, overflow="ellipsis")
    return text.append(shortened(rest, max(1, width - len(shown) - 1)), style="not bold")


def _head_parts(
    view: RunView, liveness: Liveness, share_read: float | None
) -> Iterable[tuple[int, str]]:
    """Each with a number: the greater, the earlier it gives way."""
    if share_read is not None:
        yield _ALWAYS, f"reading {100 * share_read:.0f} %"
    state = liveness.state or view.state
    since = f" {duration(liveness.silent_seconds)}" if state == SILENT else ""
    yield _ALWAYS, f"{MARKS.get(state, '▲')} {state}{since}"
    is_alive = not liveness.state and view.state in ("running", "paused")
    if is_alive and (stage := stage_words(view)):
        yield 1, visible(stage)
    if view.epoch:
        yield 2, f"epoch {view.epoch} of {view.epochs}"
    if view.stage == "training" and view.steps_per_epoch:
        yield 4, f"step {view.step_in_epoch:,} of {view.steps_per_epoch:,}"
    if is_alive and view.stage == "training" and view.images_per_second:
        yield 5, f"{view.images_per_second:,.0f} images/s"
    if liveness.writer:
        yield 3, f"written by {visible(liveness.writer)}"


def refused(view: RunView) -> Text:
    """Why a new run did not start, where its session was taken away again."""
    return _lines(
        f"✗ {visible(view.message)}",
        "Nothing of it had begun, and its session was taken away again.",
        "2 and 3 lead to the data and the recipe, S starts anew.",
    )


def notice(name: str, path: Path, view: RunView, liveness: Liveness, width: int) -> Text:
    """What needs attention, with what to do; empty where nothing does."""
    goes_on = f"1, r goes on from {_kept(view)}, or: cxr-tui --resume {visible(name)}"
    if liveness.state == GONE:
        return _lines(f"▲ Its directory is gone: {visible(str(path))}", "1 shows the sessions.")
    if liveness.state == INTERRUPTED:
        return _lines("○ Its process ended without a word: killed, or out of memory.", goes_on)
    if liveness.state == SILENT:
        host = f" on {visible(view.writer[0])}" if view.writer else ""
        return _lines(
            f"○ No sign of life for {duration(liveness.silent_seconds)}: "
            f"look at its process{host}.",
            f"Where that has ended: {goes_on}",
        )
    if view.state == "failed":
        return _failed(name, path, view, width)
    if view.state == "stopped":
        return _lines(f"■ {visible(view.message)}", goes_on)
    if view.state == "paused":
        return _paused(path, view)
    return Text()


def _failed(name: str, path: Path, view: RunView, width: int) -> Text:
    """What to do stands before the log's place, and a long message leaves room for it."""
    message = shortened(visible(view.message), _MOST_LINES_OF_A_MESSAGE * (width - 2 * len(INDENT)))
    told = []
    if any(answer.severity in GRAVE for answer in view.health.values()):
        told.append("h shows the likely cause, and what to change.")
    if view.kept:
        told.append(f"When its cause is gone: 1, r goes on from {_kept(view)}, or:")
        told.append(f"cxr-tui --resume {visible(name)}")
    else:
        told.append("No checkpoint was kept. 1, u takes its recipe to be changed.")
        told.append("When its cause is gone: 1, r begins it anew.")
    told.append(f"The log tells more: {visible(str(path / 'log.txt'))}")
    return _lines(f"✗ {message}", *told)


def _paused(path: Path, view: RunView) -> Text:
    if view.message in ("", _ASKED):
        return _lines("‖ It waits: P goes on with it, X stops it with a checkpoint.")
    reason = f"‖ It waits: {visible(view.message)}"
    if os.strerror(errno.ENOSPC) in view.message or "disk" in view.message:
        return _lines(
            reason,
            "Free room on the disk (1, d deletes a session): it goes on by itself.",
            "X stops it; what was kept is whole.",
        )
    return _lines(reason, "P goes on with it.")


def _kept(view: RunView) -> str:
    return f"step {view.kept[1]:,}" if view.kept else "its beginning"


def _lines(first: str, *others: str) -> Text:
    text = Text(f" {first}", style="bold")
    for other in others:
        text.append(f"\n{INDENT}{other}", style="not bold")
    return text


def foot(view: RunView, liveness: Liveness, width: int, *, ascii_only: bool) -> Text:
    """A bar of what is under way, the share of the run, the time passed and left."""
    is_alive = not liveness.state and view.state in ("running", "paused")
    tail = []
    label, share = _under_way(view) if is_alive else ("", None)
    if is_alive and view.ingest is not None:
        tail.append(f"{view.ingest.images_per_second:,.0f} images/s")
        if view.ingest.seconds_left is not None:
            tail.append(f"{duration(view.ingest.seconds_left)} left of it")
        if view.ingest.quarantined:
            tail.append(f"{view.ingest.quarantined:,} quarantined")
    elif is_alive and (run_share := view.share_done()) is not None:
        tail.append(f"run {100 * run_share:.0f} %")
    is_tight = view.ingest is not None and width < _ROOMY
    if not is_tight and (times := _times(view, is_alive=is_alive)):
        tail.append(times)
    if view.state == "finished" and not liveness.state:
        tail.append("5 shows its results")
    rest = "   ".join(tail)
    if share is not None:
        room = min(_LONGEST_BAR, width - len(rest) - len(label) - 12)
        percent = f"{100 * share:.0f} %"
        shown = f"{bar(share, room, ascii_only=ascii_only)} " if room >= _SHORTEST_BAR else ""
        rest = f"{label} {shown}{percent}   {rest}"
    return Text(f" {rest}", no_wrap=True, overflow="ellipsis")


def bar(share: float, width: int, *, ascii_only: bool) -> str:
    """So much of a line."""
    full, rest = ("=", "-") if ascii_only else ("━", "╌")
    done = round(min(1.0, max(0.0, share)) * width)
    return full * done + rest * (width - done)


def _under_way(view: RunView) -> tuple[str, float | None]:
    if view.stage == "training" and view.steps_per_epoch:
        return "epoch", view.step_in_epoch / view.steps_per_epoch
    if view.stage_total and view.stage not in ("", "training", "preparing", "starting"):
        return visible(stage_words(view)), view.stage_done / view.stage_total
    return "", None


def _times(view: RunView, *, is_alive: bool) -> str:
    passed, left = view.clock.passed, view.seconds_left()
    parts = [f"{duration(passed)} passed"] if passed else []
    if left is not None and is_alive:
        parts.append(f"{'~' if view.left_is_rough else ''}{duration(left)} left")
    return ", ".join(parts)


def unasked(view: RunView, share_read: float | None) -> str:
    """What stands in place of answers, so that silence is told from absence."""
    if share_read is not None:
        return "the session is being read"
    if view.state in ("new", "running", "paused"):
        return "no health check has answered yet"
    return "no health check answered"


def messages(view: RunView) -> Text:
    """Warnings first, then what happened; the newest of each first.

    What the health panel says stands there.
    """
    text = Text()
    warnings = view.warnings[-_WARNINGS:]
    above = [*warnings, *(answer_in_log(answer) for answer in view.health.values())]
    for warning in reversed(warnings):
        text.append(f"▲ {visible(warning)}\n", style="bold")
    for seconds, line in reversed(view.log[-_LINES:]):
        if line not in above:
            clock = datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
            text.append(f"{clock} ", style="dim").append(f"{visible(line)}\n")
    return text
