"""When the queue is expected to be done, from how long runs of the same kind took here.

What is measured: the time from a run's start to its first epoch, of an epoch with its validation,
and from the last epoch to the end. A session counts as of the same kind if everything that decides
its time per epoch is equal: data, parts, input, network, batch, precision. Where only the input
size differs, an epoch's time is scaled by the pixels. Entries that stop early take less.
"""

from __future__ import annotations

import heapq
import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import CxrError
from core.events import EpochDone, EpochStarted, Event, Finished, Resumed, RunStarted
from core.recipe import Recipe
from core.recipe_toml import as_toml_values
from core.store.queue.entry import Entry
from core.store.session import Session
from core.store.sessions import list_sessions

_MOST_SESSIONS = 200
_SECTIONS = ("dataset", "datasets", "labels", "split", "subset", "augment", "model")
_OF_TRAIN = ("batch_size", "precision", "optimizer", "loss", "step", "few_images_first")
_AFTER_SHARE = 1 / 3
"""Scoring the test part, in epochs; until a run of this kind has come to its end."""


@dataclass(frozen=True)
class Pace:
    """Seconds that a session took: to its first epoch, of an epoch, and after the last one."""

    before: float
    epoch: float
    after: float

    def scaled(self, factor: float) -> Pace:
        """At another input size."""
        return Pace(self.before * factor, self.epoch * factor, self.after * factor)


@dataclass(frozen=True)
class QueueEnd:
    """``seconds`` until the queue is done, and how many of its entries that leaves out."""

    seconds: float
    num_unknown: int
    by_entry: Mapping[str, float]
    """Seconds that each entry still takes, by the entry's name, as far as known."""


@dataclass
class QueueClock:
    """Reads each session once, and again only where it has changed."""

    sessions: Path
    _known: dict[Path, tuple[int, _Timed | None]] = field(default_factory=dict)

    def end(self, entries: Sequence[tuple[Entry, str]], now: float | None = None) -> QueueEnd:
        """The expected end, from entries and their states in order; as many workers as run now."""
        now = time.time() if now is None else now
        timed = self._timed()
        left: dict[str, float] = {}
        unknown = 0
        workers: list[float] = []
        waiting: list[float] = []
        for entry, state in entries:
            if state not in ("running", "begun", "waiting"):
                continue
            seconds = self._left(entry, state, timed, now)
            if seconds is not None:
                left[entry.name] = seconds
            unknown += seconds is None
            (workers if state == "running" else waiting).append(seconds or 0.0)
        free_at = workers or [0.0]
        heapq.heapify(free_at)
        for seconds in waiting:
            heapq.heappush(free_at, heapq.heappop(free_at) + seconds)
        return QueueEnd(max(free_at), unknown, left)

    def _left(self, entry: Entry, state: str, timed: Sequence[_Timed], now: float) -> float | None:
        try:
            recipe = entry.recipe
        except CxrError:
            return None
        pace = _pace(recipe, timed)
        if pace is None:
            return None
        epochs = recipe.train.epochs
        whole = pace.before + epochs * pace.epoch + pace.after
        if state == "waiting":
            return whole
        done = _Progress.of(entry.session)
        left = (epochs - done.epochs) * pace.epoch + pace.after
        if state == "begun" or not done.has_trained:
            left += pace.before
        if state == "running" and done.since is not None:
            left -= max(0.0, now - done.since)
        return max(0.0, left)

    def _timed(self) -> list[_Timed]:
        """The sessions that were timed, the newest first."""
        found = []
        for session in list_sessions(self.sessions)[:_MOST_SESSIONS]:
            try:
                size = session.events_path.stat().st_size
            except OSError:
                continue
            known = self._known.get(session.path)
            if known is None or known[0] != size:
                known = self._known[session.path] = (size, _timed_session(session))
            if known[1] is not None:
                found.append(known[1])
        return found


@dataclass(frozen=True)
class _Timed:
    """What one session took; ``after`` is None if it hasn't come to its end."""

    kind: str
    size_px: int
    before: float
    epoch: float
    after: float | None


def _timed_session(session: Session) -> _Timed | None:
    try:
        recipe = session.recipe
    except CxrError:
        return None
    took = _took(session.milestones())
    return None if took is None else _Timed(_kind(recipe), recipe.image.size_px, *took)


def _pace(recipe: Recipe, timed: Sequence[_Timed]) -> Pace | None:
    """Of the newest session of its kind, if possible with the same input size."""
    kind, size_px = _kind(recipe), recipe.image.size_px
    alike = [one for one in timed if one.kind == kind]
    alike = [one for one in alike if one.size_px == size_px] or alike
    if not alike:
        return None
    newest = alike[0]
    same = [one for one in alike if one.size_px == newest.size_px]
    after = next((one.after for one in same if one.after is not None), None)
    after = _AFTER_SHARE * newest.epoch if after is None else after
    return Pace(newest.before, newest.epoch, after).scaled((size_px / newest.size_px) ** 2)


def _kind(recipe: Recipe) -> str:
    """What decides the time per epoch, except the input size; seeds don't."""
    values = as_toml_values(recipe)
    kept: dict[str, Any] = {name: values.get(name) for name in _SECTIONS}
    kept["split"] = {key: value for key, value in values["split"].items() if key != "seed"}
    kept["image"] = {key: value for key, value in values["image"].items() if key != "size_px"}
    kept["train"] = {key: values["train"].get(key) for key in _OF_TRAIN}
    return json.dumps(kept, sort_keys=True, default=str)


def _took(events: Iterable[Event]) -> tuple[float, float, float | None] | None:
    """Seconds before the first epoch, of an epoch, and after the last; None before one is done."""
    started = first = begun = last = after = math.nan
    epochs: list[float] = []
    for event in events:
        match event:
            case RunStarted():
                started = begun = event.time
                first = math.nan
            case EpochStarted():
                first = event.time if math.isnan(first) else first
                begun = event.time
            case EpochDone():
                epochs.append(event.time - begun)
                last = event.time
            case Finished():
                after = event.time - last
    if not epochs:
        return None
    before = 0.0 if math.isnan(first - started) else first - started
    took = before, statistics.median(epochs), None if math.isnan(after) else after
    is_sound = all(one is None or (math.isfinite(one) and one >= 0) for one in took)
    return took if is_sound else None  # a clock that was set back


@dataclass
class _Progress:
    epochs: int = 0
    since: float | None = None
    has_trained: bool = False

    @classmethod
    def of(cls, session: Session) -> _Progress:
        """Epochs done, and when the last one of them, or the run, began."""
        done, steps = cls(), {0: 0}
        for event in session.milestones():
            match event:
                case RunStarted():
                    done.since, done.has_trained = event.time, False
                case EpochStarted():
                    done.since, done.has_trained = event.time, True
                case EpochDone():
                    done.epochs, done.since = event.epoch, event.time
                    steps[event.epoch] = event.step
                case Resumed():
                    done.epochs = max(n for n, step in steps.items() if step <= event.step)
        return done
