"""A whole run on one page."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from core.data.batches import Part
from core.data.study.further_columns import columns_of_study
from core.data.study.study import Study
from core.data.tables.text_file import table_bytes
from core.errors import CxrError, DataError, RunFailedError, SessionError, StoppedError
from core.evaluation.calibrating.kept_recalibration import keep_recalibration
from core.evaluation.predict import Placement, part_predictions
from core.evaluation.predictions import Predictions, write_predictions
from core.evaluation.references import reference_for
from core.events import (
    DatasetProgress,
    Evaluated,
    Event,
    Finished,
    ModelReady,
    RunStarted,
    Stopped,
    TestStarted,
    Warned,
)
from core.health.before import before_training
from core.health.few_images import (
    LONGEST_SECONDS,
    MOST_STEPS,
    check_few_images,
    learn_few_images,
)
from core.health.report import health_report_of_session
from core.health.sealed import test_is_sealed
from core.health.training_watch import TrainingWatch
from core.health.watch import HealthRecord
from core.in_slices import in_slices
from core.model.device import choose_device
from core.model.memory import free_bytes, memory_errors_named
from core.model.precision import choose_precision
from core.model.pretrained.needed import require_inputs
from core.model.provenance import SeenReport
from core.model.weights import LoadedModel, load_weights
from core.recipe import Recipe, TrainSettings
from core.requests import NextRequest
from core.store.finish import seal_end
from core.store.ledger import look
from core.store.past import Past
from core.store.recorder import Recorder
from core.store.sealed import is_sealed
from core.store.seals import Seals
from core.store.session import Session, SessionWriter
from core.tracking.observers import Observers
from core.training.context import RunContext
from core.training.control import Control, stop_if_asked
from core.training.distributed.ranks import BUILT, Build, End, PartRows, Prepare, RankLostError
from core.training.fit import Fit, validation_progress
from core.training.keeping import (
    checkpoint_metadata,
    has_checkpoint,
    load_best,
    model_to_go_on_with,
)
from core.training.preparation import (
    Machine,
    keep_description,
    patients_seen,
    ready_parts,
    ready_study,
    require_room,
)
from core.training.resuming.as_left import require_as_left
from core.training.resuming.resuming import go_on
from core.training.resuming.same_images import content_of, require_same_content, tell_mended
from core.training.resuming.same_machine import environment_here, keep_environment
from core.training.room import RoomWait
from core.training.scoring import score
from core.training.step.device_use import hold_parts, take_best_step
from core.training.trainer import Trainer

__all__ = ["Machine", "run"]

Record = Callable[[Event], None]


def run(
    session: Session,
    emit: Callable[[Event], None],
    next_request: NextRequest,
    machine: Machine,
    changed_recipe: Recipe | None = None,
) -> bool:
    """Train, choose the best epoch, score the test part; continues from the session's checkpoint.

    ``emit`` is called with every event after it was recorded; ``next_request`` is called at every
    step; ``changed_recipe`` replaces the session's once we hold its lock. Returns True if the run
    finished, False if it stopped on request. Callers first check whether a finished session has
    anything left to do, see ``core.store.past.is_done``.

    Raises:
        CxrError: the run failed. Its last event is then Failed, or Stopped if it was asked to stop
            before there was anything to save.
    """
    started = time.monotonic()
    observers = Observers(emit)
    claimed = Recorder(session, observers, lambda: stop_if_asked(next_request))
    with (
        claimed as record,
        _disk_errors_named(record.writer),
        _lost_ranks(record),
        memory_errors_named(),
    ):
        context = _context(record, machine, changed_recipe, next_request)
        observers.start(record, changed_recipe or session.recipe, machine.miniature_images)
        ready = _ready(context, record, machine, changed_recipe)
        if not (_trained(context, record, ready) and _test_scored(context, ready, machine)):
            observers.settle()
            record(_stopped(context.control, record, ready.trainer.progress.step))
            return False
        tell_mended(ready.parts["test"].cache, record)
        observers.settle()
        record.writer.require_folder()
        context.keep(lambda: seal_end(context.session, record.writer.events_seal()))
        progress = ready.trainer.progress
        record(
            Finished(
                epochs=progress.epoch - 1,
                best_epoch=progress.best_epoch,
                seconds=time.monotonic() - started,
            )
        )
        return True


@dataclass(frozen=True)
class _Ready:
    """Everything that training needs, checked, in the session's state."""

    recipe: Recipe
    study: Study
    loaded: LoadedModel
    parts: dict[str, Part]
    trainer: Trainer
    seen: SeenReport
    seals: Seals
    past: Past
    told: ModelReady
    is_miniature: bool


def _context(
    record: Recorder, machine: Machine, changed: Recipe | None, next_request: NextRequest
) -> RunContext:
    session = record.writer.session  # follows its folder when that is moved
    control = Control(machine.ranks.watched(next_request), record.writer.take_request, record)
    room = RoomWait(session, control, record, _disk_patience(session, machine, changed))
    record.keep = room.keep
    return RunContext(session, control, record, room.keep)


def _ready(
    context: RunContext, record: Recorder, machine: Machine, changed: Recipe | None
) -> _Ready:
    """Data, network, parts and trainer, on every rank, restored from the session."""
    session = context.session
    recipe, past, before = _begun(context, record, changed)
    placement, device_name = _placement(recipe, machine, record)
    if not has_checkpoint(session):
        context.keep(lambda: require_inputs(recipe, machine.cache))
    study = ready_study(context, recipe, machine)
    in_slices(lambda: columns_of_study(study), context.control.stop_if_asked)  # or refused now
    loaded = in_slices(lambda: _loaded(session, recipe), context.control.stop_if_asked)
    seen = patients_seen(loaded, study, recipe, record)
    seals = Seals.of(recipe, table_bytes(session.path / "split.csv"))
    context.keep(lambda: keep_description(session, study, seen, seals))
    require_room(session, study, loaded, machine)
    resize, is_miniature = loaded.model.input_spec.resize, machine.miniature_images is not None
    wanted = tuple(study.rows_used().tolist())
    machine.ranks.broadcast(Prepare(recipe, study.index.files, wanted, resize, is_miniature))
    parts = ready_parts(context, study, loaded, machine)
    seals = seals.with_content(require_same_content(context, parts))
    trainer = Trainer(loaded.model, parts["train"], recipe, placement, machine.ranks)
    _build_on_other_ranks(trainer, parts, context.control)
    told = _model_ready(trainer, loaded, device_name, parts["val"])
    record(told)
    go_on(session, trainer, record, past, before)
    environment = environment_here(device_name, placement)
    keep_environment(context, environment, trainer.progress.step)
    trainer.share_weights()
    free = free_bytes(placement.device)
    parts = hold_parts(trainer, parts, free, context.control.may_go_on, record)
    return _Ready(
        recipe, study, loaded, parts, trainer, seen, seals, past, told, is_miniature=is_miniature
    )


def _begun(
    context: RunContext, record: Recorder, changed: Recipe | None
) -> tuple[Recipe, Past, TrainSettings]:
    """The recipe, the state that earlier runs left, and how they trained, all verified."""
    session = context.session
    record(RunStarted(name=session.name, host=socket.gethostname(), pid=os.getpid()))
    if record.writer.taken_over is not None:
        record(Warned(message=record.writer.taken_over))
    recipe, past = changed or session.recipe, Past.of(session)
    notice = require_as_left(session, recipe, record.writer, past)
    if notice is not None:
        record(Warned(message=notice))
    before = session.recipe.train
    if changed is not None:
        context.keep(lambda: session.change_recipe(changed))
    reference_for(recipe.evaluate.reference, recipe.split.by)  # a typo must not cost a day
    return recipe, past, before


def _trained(context: RunContext, record: Recorder, ready: _Ready) -> bool:
    """Train to the last epoch; False if asked to stop."""
    trainer, control, val = ready.trainer, context.control, ready.parts["val"]
    metadata = context.keep(lambda: checkpoint_metadata(context.session, ready.study, ready.loaded))
    health = HealthRecord(record, ready.past.answers)
    found = before_training(
        ready.study, ready.parts, ready.recipe, ready.seen, ready.loaded, ready.is_miniature
    )
    health.take(found, step=trainer.progress.step)
    _rehearse(trainer, control, record, health)
    if control.stop_requested:  # nothing was learnt since the last checkpoint
        return False
    take_best_step(trainer, record, may_go_on=control.may_go_on)
    watch = TrainingWatch(health, val, ready.told.base_rate_loss)
    fit = Fit(
        *(trainer, val, context, metadata, watch),
        seals=lambda: ready.seals.with_events(record.writer.events_seal()),
    )
    return fit.run()


def _build_on_other_ranks(trainer: Trainer, parts: dict[str, Part], control: Control) -> None:
    """Build the same parts and network on every rank; errors there show now."""
    rows = {
        name: PartRows(part.index_rows_N, part.patients_N, part.labels_NF, part.weights_N)
        for name, part in parts.items()
    }
    if trainer.ranks.size == 1:
        return
    model, precision, content = trainer.model, trainer.placement.precision.name, content_of(parts)
    trainer.ranks.broadcast(Build(rows, content, model.findings, model.input_spec, precision))
    trainer.ranks.wait_for(BUILT, control.may_go_on)


def _rehearse(trainer: Trainer, control: Control, record: Record, health: HealthRecord) -> None:
    """Test whether the network can overfit a few images; only before the first step."""
    asked = trainer.settings.few_images_first
    if asked == "never" or trainer.progress.step:
        return

    told = -1

    def may_go_on(done: int) -> bool:
        nonlocal told
        if done != told:  # called several times per step
            stage, told = "overfitting a few images", done
            record(DatasetProgress(stage=stage, done=done, total=MOST_STEPS))
        return control.may_go_on()

    longest_seconds = math.inf if asked == "always" else LONGEST_SECONDS
    rehearsal = learn_few_images(trainer, may_go_on, longest_seconds)
    if rehearsal is not None:
        health.take(check_few_images(rehearsal), step=0)


def _disk_patience(session: Session, machine: Machine, changed: Recipe | None) -> float | None:
    """Seconds that the run waits for a full disk; None: forever."""
    if machine.is_attended:
        return None
    return 60 * (changed or session.recipe).train.disk_wait_minutes


def _stopped(control: Control, record: Recorder, step: int) -> Stopped:
    """The terminal event of a stop: at this step, or abandoned at the last saved one."""
    if control.abandon_requested:
        reason = "abandoned, without a new checkpoint"
        return Stopped(step=record.kept_step, reason=reason)
    return Stopped(step=step, reason="asked to stop")


def _placement(recipe: Recipe, machine: Machine, record: Record) -> tuple[Placement, str]:
    """Device and precision, and the device's name; their warnings are recorded."""
    device = choose_device(machine.device)
    precision = choose_precision(recipe.train.precision, device.device)
    for warning in (*device.warnings, *precision.warnings):
        record(Warned(message=warning))
    times = f"{machine.ranks.size} × " if machine.ranks.size > 1 else ""
    return Placement(device.device, precision), times + device.name


@contextlib.contextmanager
def _lost_ranks(record: Recorder) -> Iterator[None]:
    """If a process is lost after a checkpoint was saved, the run counts as stopped: it can be
    resumed."""
    try:
        yield
    except RankLostError as error:
        if not record.kept_step:
            raise
        why = f"The checkpoint of step {record.kept_step:,} is intact."
        raise StoppedError(error.what, why=why, remedy=error.remedy) from error


@contextlib.contextmanager
def _disk_errors_named(writer: SessionWriter) -> Iterator[None]:
    """Turn disk errors of a run into errors with a remedy."""
    try:
        yield
    except (OSError, DataError, SessionError) as error:
        writer.require_folder()
        if writer.moved_to is not None:
            raise StoppedError("its folder was moved while it was read or written") from error
        if isinstance(error, CxrError):
            raise
        raise RunFailedError(
            error.strerror or str(error),
            where=error.filename or writer.session.path,
            why="What was saved before is still there.",
            remedy="Free disk space or allow access, then: cxr-tui --resume "
            f"{writer.session.path}.",
        ) from error


def _model_ready(trainer: Trainer, loaded: LoadedModel, device_name: str, val: Part) -> ModelReady:
    objective, labels_NF = trainer.host_objective, torch.from_numpy(trainer.part.labels_NF)
    val_labels_NF, weights_N = torch.from_numpy(val.labels_NF), val.weights
    return ModelReady(
        device=str(trainer.placement.device),
        device_name=device_name,
        precision=trainer.placement.precision.name,
        weights=loaded.report.text,
        matched_tensors=loaded.report.matched,
        total_tensors=loaded.report.total,
        steps_per_epoch=trainer.steps_per_epoch,
        base_rate_loss=objective.base_rate_loss(labels_NF),
        val_base_rate_loss=None
        if weights_N is None
        else objective.base_rate_loss(val_labels_NF, weights_N),
    )


def _loaded(session: Session, recipe: Recipe) -> LoadedModel:
    return model_to_go_on_with(session, recipe) or load_weights(
        recipe.model.weights,
        recipe.dataset.findings,
        seed=recipe.train.seed,
        allow_partial=recipe.model.allow_partial_weights,
    )


def _test_scored(context: RunContext, ready: _Ready, machine: Machine) -> bool:
    """Score the test part in fp32 with the best checkpoint, unless it is sealed; False if asked to
    stop."""
    session, control, record = context.session, context.control, context.record
    trainer, parts, keep = ready.trainer, ready.parts, context.keep

    def scored(part: Part) -> Predictions | None:
        progress = validation_progress(part.name, len(part), control, record)
        logits_NF = score(trainer, part, progress, exactly=True)
        return logits_NF if logits_NF is None else part_predictions(part, findings, logits_NF)

    findings = trainer.model.findings
    is_newest = load_best(session, trainer)
    trainer.share_weights()
    if not (is_newest and trainer.placement.is_exact):
        # Thresholds are chosen on val.csv, which an epoch wrote in the run's precision, or which
        # belongs to a newer best than this run chose.
        if (val := scored(parts["val"])) is None:
            return False
        keep(lambda: write_predictions(session.predictions / "val.csv", val))
    keep(lambda: keep_recalibration(session))
    if is_sealed(session, ready.recipe.evaluate) and not machine.opens_test:
        trainer.ranks.broadcast(End(0))
        health = HealthRecord(record, ready.past.answers)
        health.take([test_is_sealed(session.name)], step=trainer.progress.step)
        return True
    images = len(parts["test"])
    record(TestStarted(epoch=trainer.progress.best_epoch or 0, images=images))
    if (test := scored(parts["test"])) is None:
        return False
    trainer.ranks.broadcast(End(0))  # only rank 0 does the rest
    keep(lambda: write_predictions(session.predictions / "test.csv", test))
    # Read back from the file, so that these are exactly the figures of `evaluate`.
    figures = partial(health_report_of_session, session, "test", machine.cache, study=ready.study)
    try:
        report = keep(lambda: in_slices(figures, control.stop_if_asked))
    except StoppedError:
        return False
    keep(lambda: session.write_json("evaluation/test.json", report))
    record(Evaluated(report=report))
    why = "opened" if machine.opens_test else "end of run"
    if not ready.is_miniature and (warning := look(session, why).warning):
        record(Warned(message=warning))
    return True
