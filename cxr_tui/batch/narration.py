"""A run told on stderr: a line for each thing worth knowing, bars only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.cells import cell_len
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from core import events
from core.events import Event
from core.words import number_of
from cxr_tui.runs.health_text import ARROW, evidence_in_words, sign_of
from cxr_tui.terminal.safe_text import counted, duration, visible
from cxr_tui.terminal.stdout import stderr_console

_PARTS = ("train", "val", "test")
_UNBOUNDED = 10_000


class Narrator:
    """Called with each event of a run; ``close()`` takes the bars away."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._progress: Progress | None = None
        self._task: Any = None
        self._epochs = 0
        self._stage_of = "data"
        self._stage = ""
        self._steps = 0
        self.report: Mapping[str, Any] | None = None
        self.moved_to = ""

    def starts(self, session: str, epochs: int) -> None:
        """Name the session before anything is loaded."""
        self._epochs = epochs
        self._line("session", session)

    def __call__(self, event: Event) -> None:
        """Tell the event."""
        tell = _TELLERS.get(type(event))
        if tell is not None:
            tell(self, event)

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._task = None, None

    def warn(self, text: str) -> None:
        """Something that needs attention and is not an event's."""
        self._line("warning", text)

    def tell(self, text: str) -> None:
        """A line that is not an event's."""
        self._console.print(Text(visible(text)), soft_wrap=True)

    def _line(self, head: str, text: str) -> None:
        """A line; on a terminal what does not fit goes on under its text, at a word's end."""
        self._lines(head, Text(visible(text)).wrap(self._console, self._room, overflow="ignore"))

    def _row(self, head: str, items: Iterable[str]) -> None:
        """Short items; on a terminal as many to a line as fit, none of them broken."""
        lines = [""]
        for item in map(visible, items):
            joined = f"{lines[-1]}  {item}" if lines[-1] else item
            if cell_len(joined) > self._room:
                lines.append(item)
            else:
                lines[-1] = joined
        self._lines(head, map(Text, lines))

    def _lines(self, head: str, lines: Iterable[Text]) -> None:
        for line in lines:
            line.rstrip()
            self._console.print(Text(f"{head:<9} ").append_text(line), soft_wrap=True)
            head = ""

    @property
    def _room(self) -> int:
        """Cells beside a head; a file has all that a line needs."""
        return max(30, self._console.width - 10) if self._console.is_terminal else _UNBOUNDED

    def _bar(self, what: str, done: int, total: int | None) -> None:
        """Show how far something is; nothing where stderr is no terminal."""
        if not self._console.file.isatty():
            self.close()  # a terminal that has gone: nothing is drawn for nobody
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
            self._task = self._progress.add_task(what, total=total, rate="")
            self._progress.start()
        self._progress.update(self._task, description=what, completed=done, total=total)

    def stage(self, head: str, stage: str, done: int, total: int | None) -> None:
        """How far a stage is: its line once, then a bar."""
        if stage != self._stage:
            self._stage = stage
            self._line(head, stage)
        self._bar(stage, done, total)

    def _dataset_progress(self, event: events.DatasetProgress) -> None:
        self.stage(self._stage_of, event.stage, event.done, event.total)

    def _dataset(self, event: events.DatasetReady) -> None:
        self._stage_of = "health"  # what comes between it and the first step
        self.close()
        counts = ", ".join(
            f"{part} {event.images[part]:,} of {number_of(event.patients[part], 'patient')}"
            for part in _PARTS
        )
        self._line("data", f"{event.table_version}; images: {counts}")
        if event.subset:
            self._line("", event.subset)
        for reason, images in event.dropped.items():
            self._line("", counted(reason, images))

    def _ingest(self, event: events.IngestProgress) -> None:
        what = f"waiting for {event.waiting_for}" if event.waiting_for else "ingest"
        self._bar(what, event.done, event.total)
        if self._progress is not None:
            self._progress.update(self._task, rate=f"{event.images_per_second:,.0f} images/s")

    def _ingest_done(self, event: events.IngestDone) -> None:
        self.close()
        text = f"{number_of(event.images, 'image')} ready after {duration(event.seconds)}"
        if event.quarantined:
            text += f"; {len(event.quarantined):,} quarantined:"
        self._line("ingest", text)
        for name, reason in list(event.quarantined.items())[:5]:
            self._line("", f"{name}: {reason}")
        for how, images in event.repaired.items():
            self._line("", counted(how, images))

    def _model(self, event: events.ModelReady) -> None:
        self._line("model", f"{event.weights}")
        self._line(
            "", f"{event.device_name}, {event.precision}; {event.steps_per_epoch:,} steps an epoch"
        )
        if event.base_rate_loss is not None:
            self._line(
                "",
                f"base rate {event.base_rate_loss:.3f}: the train loss of the best constant answer",
            )
        if event.val_base_rate_loss is not None:
            self._line(
                "",
                f"base rate {event.val_base_rate_loss:.3f} on val, whose loss is weighted to the "
                "prevalence of the whole part",
            )

    def _images_held(self, event: events.ImagesHeld) -> None:
        self._line("", event.text)

    def _step_chosen(self, event: events.StepChosen) -> None:
        self._line("", f"{event.kind} steps: {event.reason}")

    def _resumed(self, event: events.Resumed) -> None:
        self._line("resumed", f"at step {event.step:,}, epoch {event.epoch} ({event.checkpoint})")

    def _epoch(self, event: events.EpochStarted) -> None:
        self.close()
        self._bar(f"epoch {event.epoch}", 0, event.steps)
        self._steps = event.steps

    def _step(self, event: events.StepRecorded) -> None:
        done = event.step - (event.epoch - 1) * self._steps
        self._bar(f"epoch {event.epoch}", done, self._steps)
        if self._progress is not None:
            rate = f"{event.images_per_second:,.1f} images/s  loss {event.train_loss:.3f}"
            self._progress.update(self._task, rate=rate)

    def _skipped(self, event: events.StepSkipped) -> None:
        self._line("skipped", f"step {event.step:,}: its {event.what} is not finite")

    def _validation(self, event: events.ValidationProgress) -> None:
        self._bar(event.part, event.done, event.total)

    def _epoch_done(self, event: events.EpochDone) -> None:
        self.close()
        each = [
            f"{name} {'–' if value is None else f'{value:.3f}'}"
            for name, value in event.auroc.items()
        ]
        mean = "–" if event.mean_auroc is None else f"{event.mean_auroc:.3f}"
        self._line(
            f"{event.epoch}/{self._epochs}",
            f"train loss {event.train_loss:.3f}  val loss {event.val_loss:.3f}  "
            f"val AUROC {mean}{_best(event)}  {duration(event.seconds)}",
        )
        self._row("", each)

    def _cut(self, event: events.LearningRateCut) -> None:
        self._line("rate", f"val loss stalls: learning rate {event.before:g} -> {event.after:g}")

    def _early(self, event: events.EarlyStopped) -> None:
        self._line("early", f"no better epoch since {event.best_epoch}: training ends")

    def _checkpoint(self, event: events.CheckpointWritten) -> None:
        if event.reason != "epoch done":
            self._line("kept", f"checkpoint of step {event.step:,} ({event.reason})")

    def _paused(self, event: events.Paused) -> None:
        self._line("paused", f"at step {event.step:,}: {event.reason}")

    def _continued(self, event: events.Continued) -> None:
        self._line("goes on", f"at step {event.step:,}")

    def _warned(self, event: events.Warned) -> None:
        self._line("warning", f"{event.where}: {event.message}" if event.where else event.message)

    def _diagnosed(self, event: events.Diagnosed) -> None:
        self._line("health", f"{sign_of(event.severity)} {event.text}")
        if event.severity == "ok":
            return
        if evidence := evidence_in_words(event.evidence):
            self._line("", f"  {evidence}")
        if event.remedy:
            self._line("", f"{ARROW} {event.remedy}")

    def _test(self, event: events.TestStarted) -> None:
        self._line("test", f"scoring {number_of(event.images, 'image')} with epoch {event.epoch}")

    def _evaluated(self, event: events.Evaluated) -> None:
        self.report = event.report

    def _finished(self, event: events.Finished) -> None:
        self.close()
        self._line("finished", f"after {duration(event.seconds)}")

    def _stopped(self, event: events.Stopped) -> None:
        self.close()
        self.moved_to = event.moved_to
        self._line("stopped", f"after step {event.step:,}: {event.reason}")

    def _failed(self, _event: events.Failed) -> None:
        self.close()  # the message itself is the program's last word


def _best(event: events.EpochDone) -> str:
    if not event.is_best:
        return ""
    by_loss = event.selected_on == ("val loss",)
    return " (best, by val loss)" if by_loss else " (best)"


_TELLERS: dict[type[Event], Callable[[Narrator, Any], None]] = {
    events.DatasetProgress: Narrator._dataset_progress,
    events.DatasetReady: Narrator._dataset,
    events.IngestProgress: Narrator._ingest,
    events.IngestDone: Narrator._ingest_done,
    events.ModelReady: Narrator._model,
    events.Resumed: Narrator._resumed,
    events.ImagesHeld: Narrator._images_held,
    events.StepChosen: Narrator._step_chosen,
    events.EpochStarted: Narrator._epoch,
    events.StepRecorded: Narrator._step,
    events.StepSkipped: Narrator._skipped,
    events.ValidationProgress: Narrator._validation,
    events.EpochDone: Narrator._epoch_done,
    events.LearningRateCut: Narrator._cut,
    events.EarlyStopped: Narrator._early,
    events.CheckpointWritten: Narrator._checkpoint,
    events.Paused: Narrator._paused,
    events.Continued: Narrator._continued,
    events.Warned: Narrator._warned,
    events.Diagnosed: Narrator._diagnosed,
    events.TestStarted: Narrator._test,
    events.Evaluated: Narrator._evaluated,
    events.Finished: Narrator._finished,
    events.Stopped: Narrator._stopped,
    events.Failed: Narrator._failed,
}
