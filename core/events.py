"""The events of a run: one frozen dataclass for each.

A run in pseudo-code, by the events that it emits::

    RunStarted recipe and session exist, nothing is loaded DatasetProgress* synthetic set drawn,
    images searched DatasetReady tables read, patients split, the subset drawn IngestProgress*
    IngestDone images -> bytes, once per data set and size ModelReady weights loaded, device and
    precision chosen Resumed? from a checkpoint: later steps are void ImagesHeld? StepChosen? if the
    device offers more than the default for each epoch: EpochStarted StepRecorded* at most four a
    second, means since the last CheckpointWritten* by time, on request, at the epoch's end
    ValidationProgress* EpochDone val loss, AUROC per finding, is it the best LearningRateCut?
    Warned Resumed? once: back to a checkpoint after non-finite steps EarlyStopped?
    ValidationProgress* the best on val in fp32, if its epoch was in bf16 TestStarted
    ValidationProgress* the best checkpoint on the test part, in fp32 Evaluated Finished | Stopped |
    Failed exactly one of them, last

``Warned`` and ``Diagnosed`` may come anywhere. ``Paused`` and ``Continued`` enclose a pause. On
``Resumed(step=n)`` a reader drops every step recorded after n: they were not acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base class; ``time`` is in seconds since 1970, set when the event is recorded."""

    time: float = 0.0
    ends_run: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A writer took the session; the recipe is saved, nothing is loaded yet."""

    name: str
    host: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class DatasetProgress(Event):
    """Progress of a stage before the first step; ``total`` is None if unknown."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class DatasetReady(Event):
    """Tables are read, patients split, the subset drawn. Counts are per part."""

    table_version: str
    findings: tuple[str, ...]
    images: Mapping[str, int]
    patients: Mapping[str, int]
    positives: Mapping[str, Mapping[str, int]]
    dropped: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    subset: str = ""
    """A sentence on the parts that were drawn to a prevalence; '' if none was set."""


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
    """Every image of the run is in the cache or quarantined."""

    images: int
    seconds: float
    quarantined: Mapping[str, str]
    repaired: Mapping[str, int] = field(default_factory=dict)
    """Number of images that were converted or repaired, by kind."""


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
    val_base_rate_loss: float | None = None
    """Base rate of val if its loss is weighted to the prevalence of the whole part; else None."""


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The run continues from a checkpoint; steps recorded after it are void."""

    step: int
    epoch: int
    position: int
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class ImagesHeld(Event):
    """The parts whose images are in the device's memory; if none, the text says why."""

    parts: tuple[str, ...]
    images: int
    size_bytes: int
    text: str


@dataclass(frozen=True, kw_only=True)
class StepChosen(Event):
    """How steps run: ``eager``, ``compiled`` or ``graph``, and why.

    ``gain`` is its measured rate divided by the eager step's; ``seconds`` is the time to choose.
    """

    kind: str
    reason: str
    gain: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class EpochStarted(Event):
    """An epoch starts; epochs count from 1."""

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
    """A step was skipped, since its loss or gradient was not finite."""

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
    """One epoch's losses and the val AUROC of each finding; None if undefined."""

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
    """The plateau schedule cut the learning rate."""

    epoch: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class EarlyStopped(Event):
    """Training ends early, after too many epochs without a better one."""

    epoch: int
    best_epoch: int


@dataclass(frozen=True, kw_only=True)
class CheckpointWritten(Event):
    """A checkpoint is on disk and verified: every step up to ``step`` is safe."""

    name: str
    step: int
    epoch: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    """The run waits until asked to continue."""

    step: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Continued(Event):
    """The run continues after a pause."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """A warning; the run continues."""

    message: str
    where: str = ""


SEVERITIES = ("ok", "note", "warning", "stop")
"""The severities of health checks, mildest first."""


@dataclass(frozen=True, kw_only=True)
class Diagnosed(Event):
    """A health check's diagnosis; a later one of the same check replaces it.

    ``severity`` is one of SEVERITIES; ``changes`` are KEY=VALUE for the recipe.
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
    """Scoring of the test part with the best checkpoint starts."""

    __test__: ClassVar[bool] = False  # pytest would take the class for a test

    epoch: int
    images: int


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The content of evaluation/test.json."""

    report: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run finished."""

    ends_run: ClassVar[bool] = True

    epochs: int
    best_epoch: int | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Stopped(Event):
    """Stopped on request, with a checkpoint that covers ``step``.

    ``moved_to`` is where the session's folder is, if it was moved while the run wrote there.
    """

    ends_run: ClassVar[bool] = True

    step: int
    reason: str
    moved_to: str = ""


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """The run failed.

    ``lacks_room`` tells that a disk lacked space, or failed for now: run again once there is room,
    it may go well.
    """

    ends_run: ClassVar[bool] = True

    message: str
    exit_code: int
    lacks_room: bool = False
