"""From events to what a screen shows; imports no Textual.

Live, past and attached runs share this code: each applies events to a ``RunView``. It is owned by
the thread that paints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core import events
from core.events import Event
from core.store.answers import StandingAnswers
from cxr_tui.runs.event_words import Told, in_words, warning_words
from cxr_tui.runs.run_clock import RunClock
from cxr_tui.runs.step_series import StepSeries

if TYPE_CHECKING:
    from core.report_shape import PartReport

_LOG_ENTRIES = 500


@dataclass
class RunView:
    """Everything that screens show of one run."""

    state: str = "new"
    stage: str = ""
    stage_done: int = 0
    stage_total: int | None = None
    message: str = ""
    epochs: int = 0
    epoch: int = 0
    step: int = 0
    steps_per_epoch: int = 0
    images_per_second: float | None = None
    base_rate_loss: float | None = None
    val_is_weighted: bool = False
    dataset: events.DatasetReady | None = None
    model: events.ModelReady | None = None
    ingest: events.IngestProgress | None = None
    series: StepSeries = field(default_factory=StepSeries)
    epochs_done: dict[int, events.EpochDone] = field(default_factory=dict)
    report: PartReport | None = None
    answers: StandingAnswers = field(default_factory=StandingAnswers)
    warnings: list[str] = field(default_factory=list)
    log: list[tuple[float, Told]] = field(default_factory=list)
    clock: RunClock = field(default_factory=RunClock)
    writer: tuple[str, int] | None = None
    is_stopping: bool = False
    kept: tuple[float, int] | None = None
    """When the last checkpoint was written, and the step that it covers."""
    updated: float = 0.0
    last_event_at: float = field(default_factory=time.monotonic)
    """On this process's monotonic clock: the writer's may be another host's."""
    version: int = 0

    def apply(self, event: Event) -> None:
        """Process one event; kinds that no screen shows only change the time."""
        self.updated = max(self.updated, event.time)
        self.clock.take(event)
        self.last_event_at = time.monotonic()
        self.version += 1
        act = _ACTS.get(type(event))
        if act is not None:
            act(self, event)
        if (told := in_words(event, self.epochs)) is not None:
            self.log.append((event.time, told))
            del self.log[:-_LOG_ENTRIES]

    @property
    def best(self) -> events.EpochDone | None:
        """The best epoch so far."""
        best = [done for done in self.epochs_done.values() if done.is_best]
        return best[-1] if best else None

    @property
    def last(self) -> events.EpochDone | None:
        """The last finished epoch."""
        return self.epochs_done[max(self.epochs_done)] if self.epochs_done else None

    @property
    def health(self) -> dict[str, events.Diagnosed]:
        """Current diagnoses of health checks, most severe first, then the newest first."""
        return self.answers.in_order()

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings of the run, once known."""
        return self.dataset.findings if self.dataset else ()

    @property
    def step_in_epoch(self) -> int:
        """Finished steps of the current epoch."""
        return max(0, self.step - (self.epoch - 1) * self.steps_per_epoch) if self.epoch else 0

    def share_done(self) -> float | None:
        """Finished share of the run's training, 0..1; None before it is known."""
        total = self.epochs * self.steps_per_epoch
        return min(1.0, self.step / total) if total else None

    def seconds_left(self) -> float | None:
        """Time left with every validation and the test part; None until it is known."""
        left = self._left()
        return None if left is None else left[0]

    @property
    def is_over(self) -> bool:
        """Whether the run reported its end, though its thread may still be running."""
        return self.state in ("finished", "stopped", "failed")

    @property
    def left_is_rough(self) -> bool:
        """Whether the time left is a guess: no validation was timed yet."""
        left = self._left()
        return left is not None and left[1]

    def _left(self) -> tuple[float, bool] | None:
        total = self.epochs * self.steps_per_epoch
        if self.state != "running" or not total:
            return None
        validations = self.epochs - max(self.epochs_done, default=0)
        images = dict(self.dataset.images) if self.dataset else {}
        return self.clock.seconds_left(
            max(0, total - self.step), validations, images, self.steps_per_epoch
        )

    def trend(self, finding: str) -> list[float]:
        """Val AUROC of the finding by epoch; NaN if undefined."""
        values = [done.auroc.get(finding) for _, done in sorted(self.epochs_done.items())]
        return [math.nan if value is None else value for value in values]

    def _begin(self, event: events.RunStarted) -> None:
        self.state, self.stage, self.message = "running", "preparing", ""
        self.writer, self.is_stopping = (event.host, event.pid), False

    def _stage(self, event: events.DatasetProgress) -> None:
        self.stage, self.stage_done, self.stage_total = event.stage, event.done, event.total

    def _dataset_ready(self, event: events.DatasetReady) -> None:
        self.dataset = event
        self.stage = "preparing"

    def _ingest_progress(self, event: events.IngestProgress) -> None:
        self.ingest = event
        self.stage = f"waiting for {event.waiting_for}" if event.waiting_for else "ingest"
        self.stage_done, self.stage_total = event.done, event.total

    def _ingest_done(self, _event: events.IngestDone) -> None:
        self.ingest = None
        self.stage = "preparing"

    def _model_ready(self, event: events.ModelReady) -> None:
        self.model = event
        self.steps_per_epoch = event.steps_per_epoch
        self.base_rate_loss = event.base_rate_loss
        self.val_is_weighted = event.val_base_rate_loss is not None

    def _resumed(self, event: events.Resumed) -> None:
        self.series.drop_after(event.step)
        for epoch in [e for e, done in self.epochs_done.items() if done.step > event.step]:
            del self.epochs_done[epoch]
        self.answers.drop_after(event.step)
        self.step, self.epoch, self.report = event.step, event.epoch, None
        if self.kept is None or self.kept[1] != event.step:
            self.kept = (event.time, event.step) if event.step else None

    def _epoch_started(self, event: events.EpochStarted) -> None:
        self.epoch, self.stage = event.epoch, "training"
        self.steps_per_epoch = event.steps

    def _step(self, event: events.StepRecorded) -> None:
        self.step, self.epoch, self.stage = event.step, event.epoch, "training"
        self.images_per_second = event.images_per_second
        self.series.add(event)

    def _validation(self, event: events.ValidationProgress) -> None:
        self.stage = "scoring the test part" if event.part == "test" else "validation"
        self.stage_done, self.stage_total = event.done, event.total

    def _epoch_done(self, event: events.EpochDone) -> None:
        self.epochs_done[event.epoch] = event
        self.stage, self.stage_total = "saving a checkpoint", None
        self.step = event.step

    def _checkpoint(self, event: events.CheckpointWritten) -> None:
        self.kept = (event.time, event.step)

    def _paused(self, event: events.Paused) -> None:
        self.state, self.message = "paused", event.reason

    def _continued(self, _event: events.Continued) -> None:
        self.state, self.message = "running", ""

    def _warned(self, event: events.Warned) -> None:
        text = warning_words(event)
        if text not in self.warnings:
            self.warnings.append(text)

    def _diagnosed(self, event: events.Diagnosed) -> None:
        self.answers.take(event)

    def _test(self, event: events.TestStarted) -> None:
        self.stage, self.stage_done, self.stage_total = "scoring the test part", 0, event.images

    def _evaluated(self, event: events.Evaluated) -> None:
        from core.report_shape import PartReport  # pydantic: not before the first paint

        self.report = PartReport.of(event.report)

    def _end(self, event: events.Finished | events.Stopped | events.Failed) -> None:
        self.state = type(event).__name__.lower()
        self.stage, self.images_per_second, self.is_stopping = "", None, False
        if isinstance(event, events.Finished):
            self.message = ""
        else:
            self.message = event.message if isinstance(event, events.Failed) else event.reason


_ACTS: dict[type[Event], Callable[[RunView, Any], None]] = {
    events.RunStarted: RunView._begin,
    events.DatasetProgress: RunView._stage,
    events.DatasetReady: RunView._dataset_ready,
    events.IngestProgress: RunView._ingest_progress,
    events.IngestDone: RunView._ingest_done,
    events.ModelReady: RunView._model_ready,
    events.Resumed: RunView._resumed,
    events.EpochStarted: RunView._epoch_started,
    events.StepRecorded: RunView._step,
    events.ValidationProgress: RunView._validation,
    events.EpochDone: RunView._epoch_done,
    events.CheckpointWritten: RunView._checkpoint,
    events.Paused: RunView._paused,
    events.Continued: RunView._continued,
    events.Warned: RunView._warned,
    events.Diagnosed: RunView._diagnosed,
    events.TestStarted: RunView._test,
    events.Evaluated: RunView._evaluated,
    events.Finished: RunView._end,
    events.Stopped: RunView._end,
    events.Failed: RunView._end,
}
