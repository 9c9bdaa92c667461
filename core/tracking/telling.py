"""From a session's events to what a tracker shows, under the names that people expect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.events import (
    EpochDone,
    Evaluated,
    Event,
    Failed,
    Finished,
    Resumed,
    StepRecorded,
    Stopped,
)
from core.report_shape import PartReport
from core.tracking.tracker import Tracker

_POINTS_A_CURVE = 2000
"""Steps are told at most this often in the time that the run has taken so far. A run of minutes is
told completely, one of a week (two million records) at about 14,000 points."""

_MOST_PICTURES = 50


@dataclass
class Telling:
    """Tells a tracker each event of one session, in order.

    Attributes:
        tracker: shows the run.
        cams: the session's folder of overlays.
        first, last: times of the first and of the last step that was told.
        step: the last step.
    """

    tracker: Tracker
    cams: Path
    first: float = 0.0
    last: float = 0.0
    step: int = 0

    def take(self, event: Event) -> None:
        """Tell one event; kinds that no tracker shows are passed over."""
        told = self._TOLD.get(type(event))
        if told is not None:
            told(self, event)

    def _step(self, event: StepRecorded) -> None:
        self.step = event.step
        self.first = self.first or event.time
        if event.time - self.last < (event.time - self.first) / _POINTS_A_CURVE:
            return
        self.last = event.time
        values = {
            "loss/train": event.train_loss,
            "learning_rate": event.learning_rate,
            "images_per_second": event.images_per_second,
        }
        self.tracker.scalars(event.time, event.step, values)

    def _epoch(self, event: EpochDone) -> None:
        self.step = event.step
        auroc = {f"auroc/{finding}": value for finding, value in event.auroc.items()}
        values = {"loss/val": event.val_loss, "epoch": float(event.epoch), **auroc}
        values["auroc/mean"] = event.mean_auroc
        # An AUROC that is undefined is left out: it has no point on the curve.
        known = {name: value for name, value in values.items() if value is not None}
        self.tracker.scalars(event.time, event.step, known)

    def _resumed(self, event: Resumed) -> None:
        self.step = event.step
        self.tracker.drop_after(event.time, event.step)

    def _evaluated(self, event: Evaluated) -> None:
        report = PartReport.of(event.report)
        aurocs = {f"test/auroc/{name}": one.auroc for name, one in report.findings.items()}
        aurocs["test/auroc/mean"] = report.mean_auroc
        known = {name: auroc for name, auroc in aurocs.items() if auroc is not None}
        self.tracker.scalars(event.time, self.step, known)
        self.tracker.table(event.time, self.step, report)

    def _ended(self, event: Finished | Stopped | Failed) -> None:
        for picture in sorted(self.cams.glob("*.png"))[:_MOST_PICTURES]:
            if picture.is_file() and not picture.is_symlink():
                self.tracker.picture(event.time, self.step, picture)
        self.tracker.end(event.time, type(event).__name__.lower())

    _TOLD: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {
        StepRecorded: _step,
        EpochDone: _epoch,
        Resumed: _resumed,
        Evaluated: _evaluated,
        Finished: _ended,
        Stopped: _ended,
        Failed: _ended,
    }


def figures_rows(report: PartReport) -> list[tuple[str, str, str, str]]:
    """The final table: finding, images with it, AUROC, interval; the mean is the last row."""
    rows = [
        (name, str(one.positives), _number(one.auroc), _interval(one.auroc_ci))
        for name, one in report.findings.items()
    ]
    return [*rows, ("mean", "", _number(report.mean_auroc), _interval(report.mean_auroc_ci))]


def figures_markdown(report: PartReport) -> str:
    """The final table in Markdown."""
    head = [("finding", "positives", "AUROC", "95 % interval"), ("---", "---:", "---:", "---")]
    lines = [" | ".join(row) for row in [*head, *figures_rows(report)]]
    return "\n".join(f"| {line} |" for line in lines)


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}"
