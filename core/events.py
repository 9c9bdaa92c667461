"""Everything a run can say: one frozen dataclass a fact.

A run in pseudo-code, each line the event it leaves::

    RunStarted                               the recipe and the session exist, nothing is loaded
    DatasetProgress*                         the synthetic set drawn, images looked for
    DatasetReady                             tables read, patients split, the subset drawn
    IngestProgress*  IngestDone              images -> bytes, once per data set and size
    ModelReady                               weights loaded, device and precision chosen
    Resumed?                                 going on from a checkpoint: later steps never were
    ImagesHeld?  StepChosen?                 where a device offers more than the plain way
    for each epoch:
        EpochStarted
        StepRecorded*                        at most four times a second, means since the last
        CheckpointWritten*                   by the clock, on request, at the epoch's end
        ValidationProgress*
        EpochDone                            val loss, AUROC per finding, is it the best
        LearningRateCut?
        Warned Resumed?                      once: back to a checkpoint, after steps not finite
    EarlyStopped?
    TestStarted  Evaluated                   the best checkpoint on the test part
    Finished | Stopped | Failed              exactly one of them, last

``Warned`` and ``Diagnosed`` may come anywhere. ``Paused`` and ``Continued`` stand around a pause.
A reader that meets ``Resumed(step=n)`` drops every recorded step after n: it was not acknowledged.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from core.errors import DataError
from core.report_shape import fault_of_report


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact about a run; ``time`` is in seconds since 1970 and is set when it is recorded."""

    time: float = 0.0
    ends_run: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A writer took the session; the recipe is kept, nothing is loaded yet."""

    name: str
    host: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class DatasetProgress(Event):
    """How far a stage before the first step is; ``total`` is None where it can't be known."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class DatasetReady(Event):
    """Tables are read, patients split, the subset drawn. Counts per part."""

    table_version: str
    findings: tuple[str, ...]
    images: Mapping[str, int]
    patients: Mapping[str, int]
    positives: Mapping[str, Mapping[str, int]]
    dropped: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class IngestProgress(Event):
    """Images decoded so far into the cache."""

    done: int
    total: int
    images_per_second: float
    seconds_left: float | None
    quarantined: int
    waiting_for: str | None = None


@dataclass(frozen=True, kw_only=True)
class IngestDone(Event):
    """Every image of the run is in the cache, or quarantined by name and reason."""

    images: int
    seconds: float
    quarantined: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelReady(Event):
    """The network is on its device."""

    device: str
    device_name: str
    precision: str
    weights: str
    matched_tensors: int
    total_tensors: int
    steps_per_epoch: int
    base_rate_loss: float | None


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The run goes on from a checkpoint; steps recorded after it never were."""

    step: int
    epoch: int
    position: int
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class ImagesHeld(Event):
    """Images of these parts are in the device's memory; of none, and the text says why."""

    parts: tuple[str, ...]
    images: int
    size_bytes: int
    text: str


@dataclass(frozen=True, kw_only=True)
class StepChosen(Event):
    """How steps reach the device: ``eager``, ``compiled`` or ``graph``, and why.

    ``gain`` is its measured rate over the eager step's; ``seconds`` is what choosing took.
    """

    kind: str
    reason: str
    gain: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class EpochStarted(Event):
    """Epochs count from 1."""

    epoch: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class StepRecorded(Event):
    """Means since the last record; ``step`` counts optimiser steps over the whole run, from 1."""

    step: int
    epoch: int
    train_loss: float
    learning_rate: float
    gradient_norm: float | None
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class StepSkipped(Event):
    """A loss or gradient that is not finite was caught before the update."""

    step: int
    epoch: int
    what: str


@dataclass(frozen=True, kw_only=True)
class ValidationProgress(Event):
    """Images of a part scored so far."""

    part: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class EpochDone(Event):
    """One epoch's losses and the val AUROC of each finding; None where it is undefined."""

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    auroc: Mapping[str, float | None]
    mean_auroc: float | None
    selected_on: tuple[str, ...]
    is_best: bool
    learning_rate: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LearningRateCut(Event):
    """The plateau schedule cut the rate."""

    epoch: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class EarlyStopped(Event):
    """No better epoch for as long as the recipe allows."""

    epoch: int
    best_epoch: int


@dataclass(frozen=True, kw_only=True)
class CheckpointWritten(Event):
    """On disk, verified: every step up to ``step`` is safe."""

    name: str
    step: int
    epoch: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    """Waiting until asked to go on."""

    step: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Continued(Event):
    """Going on after a pause."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something a person should know; the run goes on."""

    message: str
    where: str = ""


SEVERITIES = ("ok", "note", "warning", "stop")
"""How grave the answer of a health check may be, mildest first."""


@dataclass(frozen=True, kw_only=True)
class Diagnosed(Event):
    """A health check's answer; a later one of the same check takes its place.

    ``severity`` is one of SEVERITIES; ``changes`` are KEY=VALUE of the recipe.
    """

    check: str
    severity: str
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    changes: tuple[str, ...] = ()
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class TestStarted(Event):
    """The best checkpoint is being scored on the test part."""

    __test__: ClassVar[bool] = False  # pytest would take the class for a test

    epoch: int
    images: int


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The content of evaluation/test.json."""

    report: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run came to its end."""

    ends_run: ClassVar[bool] = True

    epochs: int
    best_epoch: int | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Stopped(Event):
    """Stopped on request, with a checkpoint that covers ``step``."""

    ends_run: ClassVar[bool] = True

    step: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """The run could not go on."""

    ends_run: ClassVar[bool] = True

    message: str
    exit_code: int


_LATEST_SECONDS = 2.5e11
_MOST_COUNTED = 10**15
_MOST_FINDINGS = 100
_LONGEST_TEXT = 10_000
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


def event_line(event: Event) -> str:
    """The event as one line of JSON; a number that is not finite is written as text, e.g. "nan"."""
    fields = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
    return json.dumps(
        {"event": type(event).__name__, **_plain(fields)}, allow_nan=False, ensure_ascii=False
    )


def event_of_line(line: str) -> Event | None:
    """The event of such a line, or None for a kind this version does not know.

    Raises:
        DataError: the line is no event (a torn last line, say).
    """
    try:
        fields = _json_of(line)
        name = fields.pop("event")
        if not isinstance(name, str):
            raise TypeError(f"expected the name of an event, got {name!r}")
        kind = _KINDS.get(name)
        if kind is None:
            return None
        known = _field_types(kind)
        event = kind(
            **{key: _typed(value, known[key]) for key, value in fields.items() if key in known}
        )
        _refuse_what_cannot_be(event)
        return event
    except (
        *(ValueError, TypeError, KeyError, AttributeError),
        *(RecursionError, OverflowError),
    ) as error:
        raise DataError(f"is no event ({str(error)[:200]})", where=line[:80]) from None


def _json_of(line: str) -> Any:
    fields = json.loads(line)
    if "\\ud" in line or "\\uD" in line:
        # Half a character, written as an escape, could be neither shown nor written again.
        whole = json.dumps(fields, ensure_ascii=False).encode(errors="replace").decode()
        fields = json.loads(whole)
    return fields


def _refuse_what_cannot_be(event: Event) -> None:
    """Raises ValueError: a clock before 1970 or after the year 9999, figures that are none."""
    if not 0 <= event.time <= _LATEST_SECONDS:
        raise ValueError(f"no time of any clock: {event.time:g}")
    if isinstance(event, Evaluated):
        fault = fault_of_report(event.report)
        if fault is not None:
            raise ValueError(f"no report of figures: {fault}")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _field_types(kind: type[Event]) -> dict[str, Any]:
    if kind not in _FIELD_TYPES:
        _FIELD_TYPES[kind] = typing.get_type_hints(kind)
    return _FIELD_TYPES[kind]


_FIELD_TYPES: dict[type[Event], dict[str, Any]] = {}


def _typed(value: Any, annotation: Any) -> Any:
    """The JSON value as the field's type; a wrong type is refused, since files may be damaged."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(value, next(item for item in arguments if item is not type(None)))
    if annotation is float:
        return float(value)
    if origin is tuple:
        if len(value) > _MOST_FINDINGS:
            raise ValueError(f"{len(value):,} findings are too many")
        return tuple(_typed(item, arguments[0]) for item in value)
    if origin is Mapping:
        return {key: _typed(item, arguments[1]) for key, item in value.items()}
    if annotation is int and isinstance(value, int) and not 0 <= value <= _MOST_COUNTED:
        raise ValueError(f"expected a count, got {value:.3g}")
    if annotation is str and isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}…"
    if annotation is Any or (isinstance(value, annotation) and not isinstance(value, bool)):
        return value
    if annotation is bool and isinstance(value, bool):
        return value
    raise TypeError(f"expected {annotation.__name__}, got {value!r}")
