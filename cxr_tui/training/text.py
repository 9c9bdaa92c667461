"""Text on Training: the line on top, what needs attention, the bar, the messages."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.text import Text

from cxr_tui.runs.event_words import answer_words
from cxr_tui.runs.health_text import GRAVE
from cxr_tui.runs.liveness import GONE, INTERRUPTED, SILENT, Liveness
from cxr_tui.runs.run_view import RunView
from cxr_tui.runs.state_marks import MARKS
from cxr_tui.terminal.hanging import INDENT
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import duration, name_shortened, shortened, visible

_STAGES = {"starting": "loading torch", "validation": "validating"}
_ASKED = "asked to pause"
_SHORTEST_NAME, _SHORTEST_BAR, _LONGEST_BAR = 12, 6, 40
_WARNINGS, _ENTRIES = 5, 100
_ROOMY = 110
_ALWAYS = 0
_MOST_LINES_OF_A_MESSAGE = 3


def stage_words(view: RunView) -> str:
    """What the run is doing, if not training."""
    if view.is_stopping:
        return "stopping after this step" if view.step else "stopping before the first step"
    return _STAGES.get(view.stage, view.stage) if view.stage != "training" else ""


def waiting_words(view: RunView, share_read: float | None) -> str:
    """Text instead of a curve that has no point yet."""
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
    """Session, state, progress; the least important parts are dropped if they don't fit."""
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
    """Each with a number: the greater, the earlier it is dropped."""
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
    """Why a new run did not start, if its session was deleted."""
    return _lines(
        f"✗ {visible(view.message)}",
        "The run had not started, so its session was deleted.",
        f"{key_of('mode.data', 'mode.recipe', apart=' and ')} show the data and the recipe, "
        f"{key_of('run.start')} starts again.",
    )


def notice(name: str, path: Path, view: RunView, liveness: Liveness, width: int) -> Text:
    """What needs attention, and what to do; empty if nothing does."""
    resume = key_of("training.resume")
    goes_on = f"{resume} continues from {_kept(view)}, or: cxr-tui --resume {visible(name)}"
    if liveness.state == GONE:
        return _lines(
            f"▲ Its directory is gone: {visible(str(path))}",
            f"{key_of('mode.sessions')} shows the sessions.",
        )
    if liveness.state == INTERRUPTED:
        return _lines("○ Its process ended without a message: killed, or out of memory.", goes_on)
    if liveness.state == SILENT:
        host = f" on {visible(view.writer[0])}" if view.writer else ""
        return _lines(
            f"○ No heartbeat for {duration(liveness.silent_seconds)}: check its process{host}.",
            f"If it has ended: {goes_on}",
        )
    if view.state == "failed":
        return _failed(name, path, view, width)
    if view.state == "stopped":
        return _lines(f"■ {visible(view.message)}", goes_on)
    if view.state == "paused":
        return _paused(path, view)
    return Text()


def _failed(name: str, path: Path, view: RunView, width: int) -> Text:
    """The remedy comes before the log's path, and a long message leaves space for both."""
    message = shortened(visible(view.message), _MOST_LINES_OF_A_MESSAGE * (width - 2 * len(INDENT)))
    told, resume = [], key_of("training.resume")
    if any(answer.severity in GRAVE for answer in view.health.values()):
        told.append(f"{key_of('training.health')} shows the likely cause, and what to change.")
    if view.kept:
        told.append(f"Once the cause is fixed: {resume} continues from {_kept(view)}, or:")
        told.append(f"cxr-tui --resume {visible(name)}")
    else:
        told.append(
            f"No checkpoint was saved. {key_of('training.reuse')} opens its recipe for changes."
        )
        told.append(f"Once the cause is fixed: {resume} starts it again.")
    told.append(f"Details are in the log: {visible(str(path / 'log.txt'))}")
    return _lines(f"✗ {message}", *told)


def _paused(path: Path, view: RunView) -> Text:
    pause, stop = key_of("run.pause"), key_of("run.stop")
    if view.message in ("", _ASKED):
        return _lines(f"‖ Paused: {pause} continues, {stop} stops with a checkpoint.")
    reason = f"‖ Waiting: {visible(view.message)}"
    if os.strerror(errno.ENOSPC) in view.message or "disk" in view.message:
        delete = key_of("mode.sessions", "sessions.delete")
        return _lines(
            reason,
            f"Free disk space ({delete} deletes a session), and it continues automatically.",
            f"{stop} stops it; saved data is intact.",
        )
    return _lines(reason, f"{pause} continues.")


def _kept(view: RunView) -> str:
    return f"step {view.kept[1]:,}" if view.kept else "the start"


def _lines(first: str, *others: str) -> Text:
    text = Text(f" {first}", style="bold")
    for other in others:
        text.append(f"\n{INDENT}{other}", style="not bold")
    return text


def foot(
    view: RunView,
    liveness: Liveness,
    width: int,
    *,
    ascii_only: bool,
    since_event: float = 0.0,
) -> Text:
    """A progress bar of the current stage, the share of the run, time passed and left.

    ``since_event``: seconds since the last event, during which an active run continued.
    """
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
    if is_alive and share is None and view.state == "running" and (stage := stage_words(view)):
        tail.insert(0, f"{visible(stage)}, {duration(since_event)}")
    ahead = since_event if is_alive and view.state == "running" else 0.0
    is_tight = view.ingest is not None and width < _ROOMY
    if not is_tight and (times := _times(view, ahead, is_alive=is_alive)):
        tail.append(times)
    if view.state == "finished" and not liveness.state:
        tail.append(f"{key_of('mode.results')} shows its results")
    rest = "   ".join(tail)
    if share is not None:
        room = min(_LONGEST_BAR, width - len(rest) - len(label) - 12)
        percent = f"{100 * share:.0f} %"
        shown = f"{bar(share, room, ascii_only=ascii_only)} " if room >= _SHORTEST_BAR else ""
        rest = f"{label} {shown}{percent}   {rest}"
    return Text(f" {rest}", no_wrap=True, overflow="ellipsis")


def bar(share: float, width: int, *, ascii_only: bool) -> str:
    """A progress bar."""
    full, rest = ("=", "-") if ascii_only else ("━", "╌")
    done = round(min(1.0, max(0.0, share)) * width)
    return full * done + rest * (width - done)


def _under_way(view: RunView) -> tuple[str, float | None]:
    if view.stage == "training" and view.steps_per_epoch:
        return "epoch", view.step_in_epoch / view.steps_per_epoch
    if view.stage_total and view.stage not in ("", "training", "preparing", "starting"):
        return visible(stage_words(view)), view.stage_done / view.stage_total
    return "", None


def _times(view: RunView, ahead: float, *, is_alive: bool) -> str:
    passed, left = view.clock.passed, view.seconds_left()
    parts = [f"{duration((passed or 0.0) + ahead)} passed"] if passed or ahead else []
    if left is not None and is_alive:
        still = duration(max(0.0, left - ahead))
        parts.append(f"{'~' if view.left_is_rough else ''}{still} left")
    return ", ".join(parts)


def unasked(view: RunView, share_read: float | None) -> str:
    """Text instead of diagnoses, so that pending checks differ from none."""
    if share_read is not None:
        return "the session is being read"
    if view.state in ("new", "running", "paused"):
        return "no health check has answered yet"
    return "no health check answered"


def messages(view: RunView) -> Text:
    """Warnings first, then other messages; the newest of each first.

    Messages of the health panel are left out.
    """
    text = Text()
    warnings = view.warnings[-_WARNINGS:]
    above = [*warnings, *(answer_words(answer) for answer in view.health.values())]
    for warning in reversed(warnings):
        text.append(f"▲ {visible(warning)}\n", style="bold")
    for seconds, (about, lines) in reversed(view.log[-_ENTRIES:]):
        if lines[0] not in above:
            clock = datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
            told = f"\n{INDENT}".join(lines)
            text.append(f"{clock} ", style="dim")
            text.append(visible(f"{about} {told}".lstrip()) + "\n")
    return text
