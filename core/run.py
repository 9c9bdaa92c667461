"""The whole story of a run on one page."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from core.data.batches import Part
from core.data.cache import IngestProgress as CacheProgress
from core.data.cache import open_cache
from core.data.study import PARTS, Study, miniature, prepare_study, write_split
from core.errors import DataError, RunFailedError, StoppedError
from core.evaluation.part_report import report_of_session
from core.evaluation.predict import Placement, part_predictions, predict_logits
from core.evaluation.predictions import write_predictions
from core.evaluation.references import reference_for
from core.events import (
    DatasetProgress,
    DatasetReady,
    Evaluated,
    Event,
    Finished,
    IngestDone,
    IngestProgress,
    ModelReady,
    Resumed,
    RunStarted,
    Stopped,
    TestStarted,
    Warned,
)
from core.model.device import choose_device, choose_precision
from core.model.provenance import SeenReport, seen_in_test
from core.model.weights import LoadedModel, load_weights
from core.recipe import Recipe
from core.requests import NextRequest
from core.store.environment import describe_environment
from core.store.recorder import Recorder
from core.store.session import Session
from core.training.control import Control
from core.training.fit import Fit, validation_progress
from core.training.keeping import (
    checkpoint_metadata,
    has_checkpoint,
    load_best,
    model_to_go_on_with,
    restore_last,
)
from core.training.trainer import Trainer

Record = Callable[[Event], None]


@dataclass(frozen=True)
class Machine:
    """Where a run computes; not part of what it computes."""

    device: str
    cache: Path
    miniature_images: int | None = None
    """Use so few images of each part: the whole path in miniature (``--check``)."""


def run(
    session: Session,
    emit: Callable[[Event], None],
    next_request: NextRequest,
    machine: Machine,
    changed_recipe: Recipe | None = None,
) -> bool:
    """Train, choose the best epoch, score the test part; go on where the session stands.

    ``emit`` is given every event after it was recorded; ``next_request`` is asked at every
    step; ``changed_recipe`` takes the place of the session's, once the session is ours. True
    where the run finished, False where it stopped on request.

    Raises:
        CxrError: the run could not go on; its last event is Failed then, or Stopped where it
            was asked to stop before there was anything to keep.
    """
    started = time.monotonic()
    with Recorder(session, emit) as record, _disk_errors_named(session):
        control = Control(next_request, record.writer.take_request, record)
        record(RunStarted(name=session.name, host=socket.gethostname(), pid=os.getpid()))
        if changed_recipe is not None:
            session.change_recipe(changed_recipe)
        recipe = session.recipe
        reference_for(recipe.evaluate.reference, recipe.split.by)  # a typo costs no day
        device = choose_device(machine.device)
        placement = Placement(
            device.device, choose_precision(recipe.train.precision, device.device)
        )
        for warning in (*device.warnings, *placement.precision.warnings):
            record(Warned(message=warning))
        study = _study(session, recipe, machine, control, record)
        loaded = model_to_go_on_with(session, recipe) or load_weights(
            recipe.model.weights,
            recipe.dataset.findings,
            seed=recipe.train.seed,
            allow_partial=recipe.model.allow_partial_weights,
        )
        _keep_description(session, study, _patients_seen(loaded, study, recipe, record))
        parts = _parts(study, loaded, machine, control, record)
        trainer = Trainer(loaded.model, parts["train"], recipe, placement)
        record(_model_ready(trainer, loaded, device.name))
        _keep_environment(session, device.name, placement)
        _go_on(session, trainer, record)

        metadata = checkpoint_metadata(session, study, loaded)
        fit = Fit(trainer, parts["val"], session, control, record, metadata)
        if not fit.run():
            record(Stopped(step=trainer.progress.step, reason="asked to stop"))
            return False
        if not _score_test(
            session, study, parts["val"], parts["test"], trainer, control, record, machine.cache
        ):
            record(Stopped(step=trainer.progress.step, reason="asked to stop"))
            return False
        progress = trainer.progress
        record(
            Finished(
                epochs=progress.epoch - 1,
                best_epoch=progress.best_epoch,
                seconds=time.monotonic() - started,
            )
        )
        return True


@contextlib.contextmanager
def _disk_errors_named(session: Session) -> Iterator[None]:
    """What can't be written or read while a run is under way, as an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise RunFailedError(
            error.strerror or str(error),
            where=error.filename or session.path,
            why="What was kept before is still there.",
            remedy=f"Make room or allow access, then: cxr-tui --resume {session.path}.",
        ) from error


def _study(
    session: Session, recipe: Recipe, machine: Machine, control: Control, record: Record
) -> Study:
    """The data set, the same as before where the session goes on."""
    known = session.read_json("dataset.json")
    split_file = session.path / "split.csv"
    goes_on = known is not None and split_file.is_file()
    if not goes_on and has_checkpoint(session):
        raise DataError(
            "is gone, or dataset.json beside it",
            where=split_file,
            why="Drawn anew, the parts could mix what was trained on with what is tested.",
            remedy="Bring the file back, or start a new session.",
        )

    def on_progress(stage: str, done: int, total: int | None) -> None:
        if not control.may_go_on():
            raise StoppedError(f"asked to stop while {stage}")
        record(DatasetProgress(stage=stage, done=done, total=total))

    study = prepare_study(
        recipe,
        machine.cache,
        recorded_split=split_file if goes_on else None,
        progress=on_progress,
    )
    if machine.miniature_images is not None:
        study = miniature(study, machine.miniature_images)
    fingerprint = study.index.fingerprint()
    if goes_on and known is not None and known.get("fingerprint") != fingerprint:
        raise DataError(
            "the data set is not the one that this session began with "
            f"({len(study.index.images)} images now, {known.get('images')} then)",
            where=study.sources.labels,
            why="Figures of a run that changed its data in the middle mean nothing.",
            remedy="Bring the old tables and images back, or start a new session.",
        )
    if not goes_on:
        write_split(split_file, study)
        session.write_json("dataset.json", study.description())
    record(
        DatasetReady(
            table_version=study.index.table_version,
            findings=study.index.findings,
            images={part: len(study.rows(part)) for part in PARTS},
            patients={part: len(study.patients(part)) for part in PARTS},
            positives=study.positives(),
            dropped={count.reason: count.images for count in study.index.counts},
            fingerprint=fingerprint,
        )
    )
    if machine.miniature_images is None:
        for warning in study.warnings():
            record(Warned(message=warning))
    return study


def _patients_seen(loaded: LoadedModel, study: Study, recipe: Recipe, record: Record) -> SeenReport:
    """What the weights have seen of the test part; refused unless the recipe says to mark it."""
    for warning in loaded.report.warnings:
        record(Warned(message=warning, where=recipe.model.weights))
    seen = seen_in_test(
        loaded.provenance, study.patients("test").tolist(), dataset=study.patients_known_as
    )
    if seen.level == "none":
        return seen
    if recipe.model.seen_test_patients == "refuse":
        raise DataError(
            seen.message,
            where=recipe.model.weights,
            why="Test figures on patients that the weights have seen are not honest.",
            remedy="Choose another split or other weights, or set "
            "model.seen_test_patients=mark to have the figures marked.",
        )
    record(Warned(message=seen.message, where=recipe.model.weights))
    return seen


def _keep_description(session: Session, study: Study, seen: SeenReport) -> None:
    """dataset.json, with what every later reader of the test figures must be told."""
    warnings = [seen.message] if seen.level != "none" else []
    session.write_json("dataset.json", {**study.description(), "test_warnings": warnings})


def _parts(
    study: Study, loaded: LoadedModel, machine: Machine, control: Control, record: Record
) -> dict[str, Part]:
    """Every part's images as bytes in the cache; what can't be decoded is left out by name."""
    started = time.monotonic()

    def on_progress(now: CacheProgress) -> None:
        record(IngestProgress(**asdict(now)))

    cache = open_cache(
        machine.cache,
        study.index.files,
        study.images_used(),
        size_px=study.recipe.image.size_px,
        resize=loaded.model.input_spec.resize,
        # Of a miniature's few images one is a large share; the run itself will judge.
        max_quarantined_share=study.recipe.dataset.max_quarantined_share
        if machine.miniature_images is None
        else 0.5,
        progress=on_progress,
        should_stop=lambda: not control.may_go_on(),
    )
    used = set(study.images_used())
    quarantined = {name: why for name, why in cache.quarantined.items() if name in used}
    record(
        IngestDone(
            images=len(used) - len(quarantined),
            seconds=time.monotonic() - started,
            quarantined=quarantined,
        )
    )
    parts = {}
    for name in PARTS:
        rows = [row for row in study.rows(name) if study.index.images[row] not in quarantined]
        if not rows:
            raise DataError(f"no image of the {name} part could be decoded", where=name)
        if np.isnan(study.index.labels_NF[rows]).all():
            raise DataError(
                f"every label of the {name} part is unknown",
                where=study.sources.labels,
                why="There is nothing to learn from it or to score.",
                remedy="Choose other findings, or another split.",
            )
        images_N = study.index.images[rows]
        parts[name] = Part(
            name=name,
            cache=cache,
            cache_rows_N=cache.rows_of(images_N.tolist()),
            index_rows_N=np.asarray(rows, dtype=np.int64),
            images_N=images_N,
            patients_N=study.index.patients[rows],
            labels_NF=study.index.labels_NF[rows],
        )
    return parts


def _model_ready(trainer: Trainer, loaded: LoadedModel, device_name: str) -> ModelReady:
    labels_NF = torch.from_numpy(trainer.part.labels_NF)
    return ModelReady(
        device=str(trainer.placement.device),
        device_name=device_name,
        precision=trainer.placement.precision.name,
        weights=loaded.report.text,
        matched_tensors=loaded.report.matched,
        total_tensors=loaded.report.total,
        steps_per_epoch=trainer.steps_per_epoch,
        base_rate_loss=trainer.host_objective.base_rate_loss(labels_NF),
    )


def _keep_environment(session: Session, device_name: str, placement: Placement) -> None:
    session.write_json(
        "environment.json",
        {
            **describe_environment(),
            "device": str(placement.device),
            "device_name": device_name,
            "precision": placement.precision.name,
            "threads": torch.get_num_threads(),
        },
    )


def _go_on(session: Session, trainer: Trainer, record: Record) -> None:
    """From the last checkpoint, where there is one; from step 0 otherwise."""
    restored = restore_last(session, trainer)
    if restored is None:
        starts = sum(isinstance(event, RunStarted) for event in session.events())
        if starts > 1:  # what an earlier start recorded after its beginning never was
            record(Resumed(step=0, epoch=1, position=0, checkpoint="none"))
        return
    for warning in restored.warnings:
        record(Warned(message=warning))
    progress = trainer.progress
    record(
        Resumed(
            step=progress.step,
            epoch=progress.epoch,
            position=progress.step_in_epoch * trainer.settings.batch_size,
            checkpoint=restored.file,
        )
    )


def _score_test(
    session: Session,
    study: Study,
    val: Part,
    part: Part,
    trainer: Trainer,
    control: Control,
    record: Record,
    cache: Path,
) -> bool:
    """The best checkpoint on the test part; False where it was asked to stop."""
    if not load_best(session, trainer):
        # A newer best was kept than the one this run chose: val.csv is of that one.
        logits_NF = predict_logits(
            trainer.model, val, trainer.placement, batch_size=trainer.settings.batch_size
        )
        if logits_NF is not None:
            kept = part_predictions(val, trainer.model.findings, logits_NF)
            write_predictions(session.predictions / "val.csv", kept)
    record(TestStarted(epoch=trainer.progress.best_epoch or 0, images=len(part)))
    logits_NF = predict_logits(
        trainer.model,
        part,
        trainer.placement,
        batch_size=trainer.settings.batch_size,
        progress=validation_progress("test", len(part), control, record),
    )
    if logits_NF is None:
        return False
    predictions = part_predictions(part, trainer.model.findings, logits_NF)
    write_predictions(session.predictions / "test.csv", predictions)
    # Read back from the file, so that these are the figures of `evaluate`, to the digit.
    report = report_of_session(session, "test", cache, study=study)
    session.write_json("evaluation/test.json", report)
    record(Evaluated(report=report))
    return True
