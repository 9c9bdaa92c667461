"""The epoch loop: train, validate, save the best and the last, answer requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.data.batches import Part
from core.evaluation.metrics import auroc as auroc_of
from core.evaluation.metrics import mean_over_defined
from core.evaluation.predict import part_predictions
from core.evaluation.predictions import Predictions, write_predictions
from core.events import (
    CheckpointWritten,
    DatasetProgress,
    EarlyStopped,
    EpochDone,
    EpochStarted,
    Event,
    LearningRateCut,
    Resumed,
    StepRecorded,
    StepSkipped,
    ValidationProgress,
    Warned,
)
from core.recipe import TrainSettings
from core.requests import Request
from core.store.seals import Seals
from core.training.context import RunContext
from core.training.control import Control
from core.training.distributed.ranks import RankLostError
from core.training.keeping import keep_best, keep_last, restore_last
from core.training.resuming.same_images import tell_mended
from core.training.scoring import score
from core.training.selection import findings_with_enough_patients, score_epoch
from core.training.step.results import Recorded, StepResult
from core.training.trainer import NotFiniteError, Trainer
from core.training.watching import NobodyWatches, Watch

_PROGRESS_SECONDS = 0.5

_LOWER_RATE = 0.1
"""Factor on the learning rate after steps that were not finite."""


@dataclass
class Fit:
    """A run's training, from the trainer's current step to the last epoch."""

    trainer: Trainer
    val: Part
    context: RunContext
    metadata: dict[str, str]
    watch: Watch = field(default_factory=NobodyWatches)
    seals: Callable[[], Seals | None] = lambda: None
    last_checkpoint: float = field(default_factory=time.monotonic)
    recorded: Recorded = field(default_factory=Recorded)

    def __post_init__(self) -> None:
        context = self.context
        self.session, self.control = context.session, context.control
        self.record, self.keep = context.record, context.keep

    def run(self) -> bool:
        """Train to the end; False if stopped: with a checkpoint, unless abandoned."""
        epochs = self.trainer.settings.epochs
        self.watch.before_step(self.trainer)
        while self.trainer.progress.epoch <= epochs and not self._ran_out_of_patience():
            started, epoch = time.monotonic(), self.trainer.progress.epoch
            self.record(EpochStarted(epoch=epoch, steps=self.trainer.steps_per_epoch))
            try:
                went_on = self._train_epoch() and self._validate(started)
            except NotFiniteError as error:
                self._go_back(error)
                continue
            except RankLostError:
                self._checkpoint("lost a process")  # of the last step that every process took
                raise
            if not went_on:
                if not self.control.abandon_requested:
                    self._checkpoint("stopped")
                return False
        return True

    def _go_back(self, error: NotFiniteError) -> None:
        """Return to the last checkpoint with a lower learning rate, once per run.

        Raises:
            NotFiniteError: it did so before, or there is no checkpoint.
        """
        self._look_at_steps()
        trainer = self.trainer
        allowed = trainer.progress.micro_batch_size
        restored = None if trainer.progress.went_back else restore_last(self.session, trainer)
        if restored is None:
            raise error
        before = trainer.schedule.rate(trainer.progress.step)
        trainer.schedule.factor *= _LOWER_RATE
        trainer.progress.went_back = True
        trainer.progress.micro_batch_size = allowed
        trainer.skipped_in_a_row = 0
        trainer.share_weights()
        progress = trainer.progress
        after = trainer.schedule.rate(progress.step)
        self.record(
            Warned(
                message=f"{error.what}: going back to the checkpoint of step {progress.step:,} "
                f"with a learning rate of {after:g} instead of {before:g}. This happens only once."
            )
        )
        self.record(
            Resumed(
                step=progress.step,
                epoch=progress.epoch,
                position=progress.step_in_epoch * trainer.settings.batch_size,
                checkpoint=restored.file,
            )
        )
        self._checkpoint("gone back")

    def _train_epoch(self) -> bool:
        self.recorded = Recorded()
        if self.trainer.progress.step_in_epoch >= self.trainer.steps_per_epoch:
            return self.control.may_go_on()
        steps = self.trainer.epoch_steps()
        try:
            for batch, result in steps:
                self._note_step(result)
                self.watch.after_step(self.trainer, batch, result)
                if not self._answer_request():
                    self._record_steps()
                    return False
        finally:
            steps.close()  # type: ignore[attr-defined]  # a generator: close ends its reader
        self._record_steps()
        return True

    def _note_step(self, result: StepResult) -> None:
        if result.micro_batch_size is not None:
            message = _memory_ran_out(result.micro_batch_size, result.num_images)
            self.record(Warned(message=message))
        for notice in result.notices:
            self.record(Warned(message=notice))
        self.recorded.waiting.append(result)
        if self.recorded.is_due() or result.step == 1:
            self._record_steps()

    def _look_at_steps(self) -> None:
        """Read the results of the steps since the last call: the only place that waits for the
        device."""
        waiting, self.recorded.waiting = self.recorded.waiting, []
        try:
            self.trainer.outcomes.read()
        finally:
            for result in waiting:
                if result.updated:
                    self.recorded.add(result)
                    continue
                what = "loss" if not math.isfinite(result.loss) else "gradient norm"
                self.record(StepSkipped(step=result.step, epoch=result.epoch, what=what))

    def _record_steps(self) -> None:
        self._look_at_steps()
        recorded, progress = self.recorded, self.trainer.progress
        if recorded.steps == 0:
            return
        self.record(
            StepRecorded(
                step=progress.step,
                epoch=progress.epoch,
                train_loss=recorded.loss / recorded.steps,
                learning_rate=self.trainer.schedule.rate(progress.step - 1),
                gradient_norm=recorded.gradient_norm,
                images_per_second=recorded.images_per_second(),
            )
        )
        recorded.clear()

    def _answer_request(self) -> bool:
        """Do what was requested; False to stop."""
        request = self.control.ask()
        minutes = (time.monotonic() - self.last_checkpoint) / 60
        if request is Request.CHECKPOINT:
            self._checkpoint("asked for")
        elif request is Request.TRY_RATES:
            self.watch.try_rates(self.trainer, self._trying_goes_on)
        elif request is Request.PAUSE:
            self._checkpoint("paused")
            self.control.hold(self.trainer.progress.step)
        elif minutes >= self.trainer.settings.checkpoint_minutes:
            self._checkpoint("by the clock")
        return not self.control.stop_requested

    def _trying_goes_on(self, done: int, total: int) -> bool:
        """A range test is short: it can't be paused, but it can be cancelled."""
        self.record(DatasetProgress(stage="trying learning rates", done=done, total=total))
        return self.control.may_go_on()

    def _validate(self, started: float) -> bool:
        before = self.trainer.state()
        try:
            return self._score_and_judge(started)
        except RankLostError:
            # Resuming validates again: a best epoch may have been chosen but not saved.
            self.trainer.restore_state(before)
            raise

    def _score_and_judge(self, started: float) -> bool:
        trainer, progress = self.trainer, self.trainer.progress
        listener = validation_progress("val", len(self.val), self.control, self.record)
        logits_NF = score(trainer, self.val, listener)
        if logits_NF is None:
            return False
        predictions = part_predictions(self.val, trainer.model.findings, logits_NF)
        done = self._judge(predictions, logits_NF, time.monotonic() - started)
        if done.is_best:
            self.keep(lambda: write_predictions(self.session.predictions / "val.csv", predictions))
            self.keep(lambda: keep_best(self.session, trainer, self.metadata))
        self.record(done)
        tell_mended(self.val.cache, self.record)
        self.watch.after_epoch(trainer, done, predictions)
        before = trainer.schedule.rate(progress.step)
        if trainer.schedule.after_epoch(done.val_loss):
            after = trainer.schedule.rate(progress.step)
            self.record(LearningRateCut(epoch=progress.epoch, before=before, after=after))
        trainer.finish_epoch()
        self._checkpoint("epoch done")
        return True

    def _judge(self, predictions: Predictions, logits_NF: Tensor, seconds: float) -> EpochDone:
        trainer, progress = self.trainer, self.trainer.progress
        labels_NF = predictions.labels_NF
        val_loss = trainer.host_objective.mean_loss(
            logits_NF, torch.from_numpy(labels_NF), self.val.weights
        )
        auroc = {
            finding: auroc_of(labels_NF[:, column], predictions.scores_NF[:, column])
            for column, finding in enumerate(predictions.findings)
        }
        enough = findings_with_enough_patients(
            predictions.findings,
            labels_NF,
            predictions.patients,
            trainer.settings.min_positive_patients,
        )
        score = score_epoch(trainer.settings, auroc, val_loss, enough)
        if progress.epoch == 1 and not score.findings and trainer.settings.select_best == "auroc":
            self.record(Warned(message=_no_finding_selects(trainer.settings)))
        is_best = score.beats(progress.best_score, progress.best_rule)
        if is_best:
            progress.best_epoch, progress.best_score = progress.epoch, score.score
            progress.best_rule, progress.epochs_without_better = score.rule, 0
        else:
            progress.epochs_without_better += 1
        return EpochDone(
            epoch=progress.epoch,
            step=progress.step,
            train_loss=progress.mean_train_loss,
            val_loss=val_loss,
            auroc=auroc,
            mean_auroc=mean_over_defined(list(auroc.values())),
            selected_on=score.findings or (score.rule,),
            is_best=is_best,
            learning_rate=trainer.schedule.rate(progress.step - 1),
            seconds=seconds,
        )

    def _ran_out_of_patience(self) -> bool:
        progress, patience = self.trainer.progress, self.trainer.settings.early_stopping
        if not patience or progress.epochs_without_better < patience:
            return False
        self.record(EarlyStopped(epoch=progress.epoch - 1, best_epoch=progress.best_epoch or 0))
        return True

    def _checkpoint(self, reason: str) -> None:
        self._look_at_steps()
        self.keep(lambda: keep_last(self.session, self.trainer, self.metadata, self.seals()))
        self.last_checkpoint = time.monotonic()
        progress = self.trainer.progress
        self.record(
            CheckpointWritten(name="last", step=progress.step, epoch=progress.epoch, reason=reason)
        )


def validation_progress(
    part: str, total: int, control: Control, record: Callable[[Event], None]
) -> Callable[[int], bool]:
    """A progress callback for scoring: records twice a second, returns False to stop."""
    last = time.monotonic()

    def listen(done: int) -> bool:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_SECONDS or done == total:
            last = time.monotonic()
            record(ValidationProgress(part=part, done=done, total=total))
        return control.may_go_on()

    return listen


def _memory_ran_out(micro_batch_size: int, num_images: int) -> str:
    return (
        f"memory ran out: from now on micro-batches of {micro_batch_size} images, accumulated to "
        f"the same batch of {num_images} (train.micro_batch_size = {micro_batch_size}). Batch norm "
        "sees fewer images at a time"
    )


def _no_finding_selects(settings: TrainSettings) -> str:
    return (
        f"no finding has {settings.min_positive_patients} positive val patients, so the best epoch "
        "is the one with the lowest val loss (train.min_positive_patients)"
    )
