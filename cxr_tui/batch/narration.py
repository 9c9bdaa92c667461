"""A run's narration on stderr: a line for each notable event, bars only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.cells import cell_len
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from core import events
from core.events import Event
from core.report_shape import PartReport
from cxr_tui.runs.event_words import in_words
from cxr_tui.runs.health_text import ARROW, evidence_in_words
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import stderr_console

_UNBOUNDED = 10_000
_ENDING_A_BAR = (
    events.DatasetReady,
    events.IngestDone,
    events.EpochStarted,
    events.EpochDone,
    events.Finished,
    events.Stopped,
    events.Failed,
)
_TOLD_ELSEWHERE = (events.RunStarted, events.Failed)
"""The session's name comes first; an error is printed last by the program."""


class Narrator:
    """Called with each event of a run; ``close()`` removes the bars."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._progress: Progress | None = None
        self._epochs = 0
        self._stage_of = "data"
        self._stage = ""
        self._steps = 0
        self.report: PartReport | None = None
        self.moved_to = ""

    def starts(self, session: str, epochs: int) -> None:
        """Name the session before anything is loaded."""
        self._epochs = epochs
        self._line("session", session)

    def __call__(self, event: Event) -> None:
        """Narrate the event."""
        if isinstance(event, _ENDING_A_BAR):
            self.close()
        told = None if isinstance(event, _TOLD_ELSEWHERE) else in_words(event, self._epochs)
        for position, line in enumerate(told.lines if told else ()):
            self._line("" if position or not told else told.head, line)
        act = _ACTS.get(type(event))
        if act is not None:
            act(self, event)

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def warn(self, text: str) -> None:
        """Print a warning that is not an event."""
        self._line("warning", text)

    def tell(self, text: str) -> None:
        """Print a line that is not an event."""
        self._console.print(Text(visible(text)), soft_wrap=True)

    def _line(self, head: str, text: str) -> None:
        """Print a line; on a terminal it is wrapped under its text, between words."""
        self._lines(head, Text(visible(text)).wrap(self._console, self._room, overflow="ignore"))

    def _row(self, items: Iterable[str]) -> None:
        """Print short items; on a terminal as many per line as fit, none of them broken."""
        lines = [""]
        for item in map(visible, items):
            joined = f"{lines[-1]}  {item}" if lines[-1] else item
            if cell_len(joined) > self._room:
                lines.append(item)
            else:
                lines[-1] = joined
        self._lines("", map(Text, lines))

    def _lines(self, head: str, lines: Iterable[Text]) -> None:
        for line in lines:
            line.rstrip()
            self._console.print(Text(f"{head:<9} ").append_text(line), soft_wrap=True)
            head = ""

    @property
    def _room(self) -> int:
        """Cells beside a head; unlimited in a file."""
        return max(30, self._console.width - 10) if self._console.is_terminal else _UNBOUNDED

    def _bar(self, what: str, done: int, total: int | None, rate: str | None = None) -> None:
        """Show progress, if stderr is a terminal."""
        if not self._console.file.isatty():
            self.close()  # the terminal is gone: nobody would see it
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._progress.add_task(what, total=total, rate="")
            self._progress.start()
        (task,) = self._progress.task_ids
        self._progress.update(task, description=what, completed=done, total=total)
        if rate is not None:
            self._progress.update(task, rate=rate)

    def stage(self, head: str, stage: str, done: int, total: int | None) -> None:
        """A stage's progress: its line once, then a bar."""
        if stage != self._stage:
            self._stage = stage
            self._line(head, stage)
        self._bar(stage, done, total)

    def _dataset_progress(self, event: events.DatasetProgress) -> None:
        self.stage(self._stage_of, event.stage, event.done, event.total)

    def _dataset(self, _event: events.DatasetReady) -> None:
        self._stage_of = "health"  # for what comes before the first step

    def _ingest(self, event: events.IngestProgress) -> None:
        what = f"waiting for {event.waiting_for}" if event.waiting_for else "ingest"
        self._bar(what, event.done, event.total, f"{event.images_per_second:,.0f} images/s")

    def _epoch(self, event: events.EpochStarted) -> None:
        self._bar(f"epoch {event.epoch}", 0, event.steps)
        self._steps = event.steps

    def _step(self, event: events.StepRecorded) -> None:
        done = event.step - (event.epoch - 1) * self._steps
        rate = f"{event.images_per_second:,.1f} images/s  loss {event.train_loss:.3f}"
        self._bar(f"epoch {event.epoch}", done, self._steps, rate)

    def _validation(self, event: events.ValidationProgress) -> None:
        self._bar(event.part, event.done, event.total)

    def _epoch_done(self, event: events.EpochDone) -> None:
        self._row(
            f"{name} {'–' if value is None else f'{value:.3f}'}"
            for name, value in event.auroc.items()
        )

    def _diagnosed(self, event: events.Diagnosed) -> None:
        if event.severity == "ok":
            return
        if evidence := evidence_in_words(event.evidence):
            self._line("", f"  {evidence}")
        if event.remedy:
            self._line("", f"{ARROW} {event.remedy}")

    def _evaluated(self, event: events.Evaluated) -> None:
        self.report = PartReport.of(event.report)

    def _stopped(self, event: events.Stopped) -> None:
        self.moved_to = event.moved_to


_ACTS: dict[type[Event], Callable[[Narrator, Any], None]] = {
    events.DatasetProgress: Narrator._dataset_progress,
    events.DatasetReady: Narrator._dataset,
    events.IngestProgress: Narrator._ingest,
    events.EpochStarted: Narrator._epoch,
    events.StepRecorded: Narrator._step,
    events.ValidationProgress: Narrator._validation,
    events.EpochDone: Narrator._epoch_done,
    events.Diagnosed: Narrator._diagnosed,
    events.Evaluated: Narrator._evaluated,
    events.Stopped: Narrator._stopped,
}
"""State that an event changes besides its words, and extra output in batch."""
