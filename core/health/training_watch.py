"""Measurements during training: at steps 0, 1, 50 and 200, and at the end of each epoch.

They don't change the run: the network is measured in eval mode, or its batch statistics are
restored afterwards, and no random number is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core.data.batches import Batch, Part, scoring_batches
from core.evaluation.confidence import Interval
from core.evaluation.placements import mean_interval, place_findings
from core.evaluation.predictions import Predictions
from core.events import EpochDone
from core.health.diagnosis import Diagnosis
from core.health.epochs import check_metric, check_overfitting, check_schedule
from core.health.learning import (
    Spread,
    check_batch_norm,
    check_extreme_logits,
    check_gradient,
    check_rate,
    check_spread,
)
from core.health.range_test import check_range, try_rates
from core.health.scores import SCORE_CHECKS, check_our_scores
from core.health.watch import HealthRecord
from core.model.precision import autocast
from core.training.step.results import StepResult
from core.training.trainer import Trainer

LOOKS = (50, 200)
"""Steps after which the network is checked, besides the first and the last of each epoch."""

_FIRST_MEASURE = 12
_AT_EACH_LOOK = ("same-for-every-image", "saturated")
_AT_EACH_EPOCH = (*SCORE_CHECKS, "overfitting", "metric-broken", "miscalibrated")
_VAL_IMAGES = 32
_EXTREME_LOGIT = 36.0  # its sigmoid is 1 in float64


class TrainingWatch:
    """Measure one run and report what the checks find."""

    def __init__(self, health: HealthRecord, val: Part, base_rate_loss: float | None) -> None:
        self._health = health
        self._base_rate_loss = base_rate_loss
        self._val_weights = val.weights
        self._val_batch = next(iter(scoring_batches(val, min(_VAL_IMAGES, len(val)))))
        self._at_start: Spread | None = None
        self._results: list[StepResult] = []
        self._positives_F = torch.zeros(val.labels_NF.shape[1])
        self._weights_before: list[Tensor] | None = None
        self._update_ratio: float | None = None
        self._share_of_peak = 1.0
        self._epochs: list[EpochDone] = []
        self._val_base_rate: float | None = None

    def before_step(self, trainer: Trainer) -> None:
        """Measure the spread of the initial logits."""
        if trainer.progress.step == 0:
            self._at_start, _ = self._look(trainer)

    def after_step(self, trainer: Trainer, batch: Batch, result: StepResult) -> None:
        """Keep the losses of the first 200 steps; check the first gradient, and the network at 50
        and 200."""
        step = trainer.progress.step
        self._positives_F += (batch.labels_of_step() == 1).sum(dim=0)
        if step > LOOKS[-1]:
            return
        self._results.append(result)  # read at a check, so that no step waits for its loss
        if step == 1 and result.updated:
            self._health.take(
                check_gradient(_first_layer_norm(trainer), result.gradient_norm, step), step=step
            )
        self._measure_update(trainer, step)
        if step in LOOKS:
            self._judge(trainer, step)
        if step == LOOKS[-1]:
            self._judge_rate(trainer, step)
            self._judge_batch_norm(trainer, batch, step)

    def after_epoch(self, trainer: Trainer, done: EpochDone, predictions: Predictions) -> None:
        """Check a validated epoch."""
        step = done.step
        self._epochs.append(done)
        self._judge(trainer, step)
        if step < LOOKS[-1]:  # a short epoch: we promise an answer before the first one ends
            self._judge_rate(trainer, step)
        found = [
            *check_our_scores(predictions, in_training=True),
            *check_overfitting(self._epochs),
            *check_schedule(trainer.settings, done.learning_rate, done.epoch),
            *self._metric(trainer, done, predictions),
        ]
        self._health.take(found, step=step, looked_at=_AT_EACH_EPOCH)

    def try_rates(self, trainer: Trainer, may_go_on: Callable[[int, int], bool]) -> None:
        """Run a range test on a copy of the network; its result replaces an earlier one."""
        found = try_rates(trainer, may_go_on)
        if found is not None:
            answers = check_range(found, trainer.settings.learning_rate)
            self._health.take_again(answers, step=trainer.progress.step)

    def _judge(self, trainer: Trainer, step: int) -> None:
        spread, extreme = self._look(trainer)
        seen = dict(zip(trainer.model.findings, self._positives_F.int().tolist(), strict=True))
        self._health.take(
            [*check_spread(spread, self._at_start, seen), *check_extreme_logits(extreme, step)],
            step=step,
            looked_at=_AT_EACH_LOOK,
        )

    def _judge_rate(self, trainer: Trainer, step: int) -> None:
        losses = [result.loss for result in self._results]
        found = check_rate(
            [loss for loss in losses if math.isfinite(loss)],
            self._update_ratio,
            self._base_rate_loss,
            trainer.settings.learning_rate,
            self._share_of_peak,
        )
        self._health.take(found, step=step)

    def _judge_batch_norm(self, trainer: Trainer, batch: Batch, step: int) -> None:
        eval_mode, train_mode = (
            trainer.host_objective.mean_loss(logits_BF, batch.labels_BF)
            for logits_BF in (_logits(trainer, batch), _logits_by_own_statistics(trainer, batch))
        )
        found = check_batch_norm(train_mode, eval_mode, self._base_rate_loss, step)
        self._health.take(found, step=step)

    def _metric(
        self, trainer: Trainer, done: EpochDone, predictions: Predictions
    ) -> list[Diagnosis]:
        if self._val_base_rate is None:
            labels_NF = torch.from_numpy(predictions.labels_NF)
            self._val_base_rate = trainer.host_objective.base_rate_loss(
                labels_NF, self._val_weights
            )
        return list(
            check_metric(
                [epoch.val_loss for epoch in self._epochs],
                self._val_base_rate,
                done.mean_auroc,
                _mean_auroc_interval(predictions),
                is_weighted=self._val_weights is not None,
            )
        )

    def _look(self, trainer: Trainer) -> tuple[Spread, float]:
        """The spread of logits on the fixed val batch, and the share of extreme logits."""
        logits_BF = _logits(trainer, self._val_batch)
        spread_F = logits_BF.std(dim=0) if len(logits_BF) > 1 else torch.zeros(logits_BF.shape[1])
        of_finding = dict(zip(trainer.model.findings, spread_F.tolist(), strict=True))
        extreme = float((logits_BF.abs() > _EXTREME_LOGIT).float().mean())
        return Spread(trainer.progress.step, of_finding, len(logits_BF)), extreme

    def _measure_update(self, trainer: Trainer, step: int) -> None:
        """The norm of one step's update over that of the weights, shortly before each check."""
        weights = [item for item in trainer.model.parameters() if item.ndim > 1]
        if self._weights_before is not None:
            change = sum(
                float((now.detach() - before).square().sum())
                for now, before in zip(weights, self._weights_before, strict=True)
            )
            size = sum(float(before.square().sum()) for before in self._weights_before)
            self._update_ratio = math.sqrt(change / size) if size else None
            self._share_of_peak = trainer.schedule.rate(step - 1) / trainer.settings.learning_rate
            self._weights_before = None
        if step + 2 in (_FIRST_MEASURE, *LOOKS):
            self._weights_before = [item.detach().clone() for item in weights]


def _mean_auroc_interval(predictions: Predictions) -> Interval | None:
    """Over the findings with enough patients; constant scores count as chance."""
    placed = [
        one
        for one in place_findings(
            predictions.labels_NF, predictions.scores_NF, predictions.patients
        )
        if one is not None and one.why_no_interval is None
    ]
    if placed and all(one.value == 0.5 and one.variance == 0 for one in placed):
        return 0.5, 0.5
    return mean_interval(placed)


def _first_layer_norm(trainer: Trainer) -> float:
    first = next(item for item in trainer.model.parameters() if item.ndim == 4)
    return 0.0 if first.grad is None else float(first.grad.norm())


def _logits(trainer: Trainer, batch: Batch) -> Tensor:
    """Logits [B, F] on the host, in eval mode; the mode is restored afterwards."""
    was_training = trainer.model.training
    trainer.model.eval()
    try:
        return _forward(trainer, batch)
    finally:
        trainer.model.train(was_training)


def _logits_by_own_statistics(trainer: Trainer, batch: Batch) -> Tensor:
    """The same in training mode; the running statistics are restored afterwards."""
    before = [buffer.clone() for buffer in trainer.model.buffers()]
    was_training = trainer.model.training
    trainer.model.train()
    try:
        return _forward(trainer, batch)
    finally:
        for buffer, old in zip(trainer.model.buffers(), before, strict=True):
            buffer.copy_(old)
        trainer.model.train(was_training)


def _forward(trainer: Trainer, batch: Batch) -> Tensor:
    placement = trainer.placement
    most = trainer.images_at_once  # the batch norm statistics of training are over this many
    with torch.no_grad(), autocast(placement.precision, placement.device):
        pieces = [
            trainer.model(placement.pixels(pixels_BHW)).float().cpu()
            for pixels_BHW in torch.split(batch.pixels_BHW, most)
        ]
    return torch.cat(pieces)
