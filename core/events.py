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
    ValidationProgress*                      the best on val in fp32, where its epoch was in bf16
    TestStarted  ValidationProgress*         the best checkpoint on the test part, in fp32
    Evaluated
    Finished | Stopped | Failed              exactly one of them, last

``Warned`` and ``Diagnosed`` may come anywhere. ``Paused`` and ``Continued`` stand around a pause.
A reader that meets ``Resumed(step=n)`` drops every recorded step after n: it was not acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


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
    subset: str = ""
    """Which parts were drawn at a prevalence and from what, in words; '' where none was set."""


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
    repaired: Mapping[str, int] = field(default_factory=dict)
    """Images that were read otherwise than they are stored: how, and how many."""


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
    """Of val, where its loss is weighted to the prevalence of the whole part; None elsewhere."""


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
    """Stopped on request, with a checkpoint that covers ``step``.

    ``moved_to`` is where the session's folder is, if it was moved while the run wrote there.
    """

    ends_run: ClassVar[bool] = True

    step: int
    reason: str
    moved_to: str = ""


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """The run could not go on."""

    ends_run: ClassVar[bool] = True

    message: str
    exit_code: int
