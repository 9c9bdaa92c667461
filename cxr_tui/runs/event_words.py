"""A run's events in words, for ``--batch`` on stderr and the log on Training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core import events
from core.data.images.refusal import told_apart
from core.events import Event
from core.words import number_of
from cxr_tui.runs.health_text import sign_of
from cxr_tui.terminal.safe_text import counted, duration

_NAMED = 5


class Told(NamedTuple):
    """A keyword, and the lines next to it."""

    head: str
    lines: tuple[str, ...]


def in_words(event: Event, epochs: int) -> Told | None:
    """The event in words, for a run of ``epochs`` epochs; None if it is not worth a line."""
    told = _preparing(event) or _training(event, epochs) or _remark_or_end(event)
    return None if told is None else Told(told[0], tuple(told[1:]))


def answer_words(answer: events.Diagnosed) -> str:
    """A diagnosis, without its evidence and remedy."""
    return f"{sign_of(answer.severity)} {answer.text}"


def warning_words(event: events.Warned) -> str:
    """A warning, and where."""
    return f"{event.where}: {event.message}" if event.where else event.message


def _preparing(event: Event) -> Sequence[str] | None:
    match event:
        case events.RunStarted():
            return "started", f"on {event.host}, process {event.pid}"
        case events.DatasetReady():
            return "data", *_data(event)
        case events.IngestDone():
            return "ingest", *_ingest(event)
        case events.ModelReady():
            return "model", *_model(event)
        case events.ImagesHeld():
            return "", event.text
        case events.StepChosen():
            return "", f"{event.kind} steps: {event.reason}"
    return None


def _training(event: Event, epochs: int) -> Sequence[str] | None:
    match event:
        case events.Resumed():
            where = f"at step {event.step:,}, epoch {event.epoch}"
            return "resumed", f"{where} ({event.checkpoint})"
        case events.StepSkipped():
            return "skipped", f"step {event.step:,}: {event.what} not finite"
        case events.EpochDone():
            return f"{event.epoch}/{epochs}", _epoch(event)
        case events.LearningRateCut():
            rates = f"{event.before:g} -> {event.after:g}"
            return "rate", f"val loss stalls: learning rate {rates}"
        case events.EarlyStopped():
            return "early", f"no better epoch since {event.best_epoch}: training ends"
        case events.CheckpointWritten() if event.reason != "epoch done":  # those are routine
            return "saved", f"checkpoint of step {event.step:,} ({event.reason})"
        case events.Paused():
            return "paused", f"at step {event.step:,}: {event.reason}"
        case events.Continued():
            return "continues", f"at step {event.step:,}"
    return None


def _remark_or_end(event: Event) -> Sequence[str] | None:
    match event:
        case events.Warned():
            return "warning", warning_words(event)
        case events.Diagnosed():
            return "health", answer_words(event)
        case events.TestStarted():
            return "test", f"scoring {number_of(event.images, 'image')} with epoch {event.epoch}"
        case events.Finished():
            return "finished", f"after {duration(event.seconds)}"
        case events.Stopped():
            return "stopped", f"after step {event.step:,}: {event.reason}"
        case events.Failed():
            return "failed", event.message
    return None


def _data(event: events.DatasetReady) -> Iterable[str]:
    counts = ", ".join(
        f"{part} {images:,} of {number_of(event.patients.get(part, 0), 'patient')}"
        for part, images in event.images.items()
    )
    yield f"{event.table_version}; images: {counts}"
    if event.subset:
        yield event.subset
    yield from (counted(reason, images) for reason, images in event.dropped.items())


def _ingest(event: events.IngestDone) -> Iterable[str]:
    text = f"{number_of(event.images, 'image')} ready after {duration(event.seconds)}"
    quarantined, passed_by = told_apart(event.quarantined)
    if quarantined:
        text += f"; {len(quarantined):,} quarantined:"
    yield text
    yield from (f"{name}: {reason}" for name, reason in list(quarantined.items())[:_NAMED])
    if passed_by:
        yield f"{number_of(len(passed_by), 'file')} passed by, which hold no picture:"
        yield from (f"{name}: {reason}" for name, reason in list(passed_by.items())[:_NAMED])
    yield from (counted(how, images) for how, images in event.repaired.items())


def _model(event: events.ModelReady) -> Iterable[str]:
    yield event.weights
    yield f"{event.device_name}, {event.precision}; {event.steps_per_epoch:,} steps per epoch"
    if event.base_rate_loss is not None:
        rate = f"base rate {event.base_rate_loss:.3f}"
        yield f"{rate}: the train loss of the best constant prediction"
    if event.val_base_rate_loss is not None:
        rate = f"base rate {event.val_base_rate_loss:.3f}"
        yield f"{rate} on val, whose loss is weighted to the prevalence of the whole part"


def _epoch(event: events.EpochDone) -> str:
    mean = "–" if event.mean_auroc is None else f"{event.mean_auroc:.3f}"
    by_loss = ", by val loss" if event.selected_on == ("val loss",) else ""
    best = f" (best{by_loss})" if event.is_best else ""
    losses = f"train loss {event.train_loss:.3f}  val loss {event.val_loss:.3f}"
    return f"{losses}  val AUROC {mean}{best}  {duration(event.seconds)}"
