"""Checks after each epoch: overfitting, a learning rate cut to nothing, loss against AUROC."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from core.events import EpochDone
from core.health.diagnosis import Diagnosis, Severity
from core.recipe import TrainSettings

_RISING_EPOCHS, _CLEARLY_OVER_LOWEST, _CLEARLY_FALLEN = 3, 1.1, 0.8
_CUT_TO_NOTHING = 1.001e-3
_UNDER_BASE, _OVER_BASE = 0.97, 1.3
_BEYOND_CHANCE = 0.6
_OVERFIT = "That is miscalibration or overfitting, not a broken metric."
_DRAWN = (
    "The loss is weighted to the prevalence of the whole val part, and the probabilities were "
    "learnt at another prevalence (subset.prevalence). The metric is not broken."
)


def check_overfitting(epochs: Sequence[EpochDone]) -> Iterator[Diagnosis]:
    """Whether val loss rises while train loss still falls.

    Val loss either rises in every epoch, however little, or stays clearly above its minimum. The
    second rule is for the noisy val loss of few images.
    """
    if len(epochs) <= _RISING_EPOCHS:
        return
    lowest = min(range(len(epochs)), key=lambda place: epochs[place].val_loss)
    best = next((epoch.epoch for epoch in reversed(epochs) if epoch.is_best), None)
    if best is None or len(epochs) - lowest <= _RISING_EPOCHS:
        return
    turn = epochs[lowest]
    ending = f"The checkpoint of the best epoch, {best}, is kept."
    if best == epochs[-1].epoch:
        ending = "The ranking of the images still improves; their probabilities get worse."
    if _rises_steadily(epochs) or _stays_over(turn, epochs[-_RISING_EPOCHS:]):
        yield Diagnosis(
            check="overfitting",
            severity=Severity.NOTE,
            text=f"The network overfits since epoch {epochs[lowest + 1].epoch}: val loss rises "
            "while train loss falls. " + ending,
            evidence={
                "val_loss_lowest": turn.val_loss,
                "val_loss": epochs[-1].val_loss,
                "train_loss_then": turn.train_loss,
                "train_loss": epochs[-1].train_loss,
            },
            remedy="Stop early (train.early_stopping=3), or use more augmentation and weight "
            "decay.",
            changes=("train.early_stopping=3",),
        )


def _rises_steadily(epochs: Sequence[EpochDone]) -> bool:
    pairs = list(itertools.pairwise(epochs[-_RISING_EPOCHS - 1 :]))
    rises = all(after.val_loss > before.val_loss for before, after in pairs)
    return rises and all(after.train_loss < before.train_loss for before, after in pairs)


def _stays_over(turn: EpochDone, recent: Sequence[EpochDone]) -> bool:
    over = all(epoch.val_loss > _CLEARLY_OVER_LOWEST * turn.val_loss for epoch in recent)
    return over and all(epoch.train_loss < _CLEARLY_FALLEN * turn.train_loss for epoch in recent)


def check_schedule(settings: TrainSettings, rate: float, epoch: int) -> Iterator[Diagnosis]:
    """Whether a plateau schedule has cut the learning rate to nothing before the last epochs."""
    share = rate / settings.learning_rate
    if settings.schedule == "plateau" and share <= _CUT_TO_NOTHING and epoch < settings.epochs:
        yield Diagnosis(
            check="rate-cut-to-nothing",
            severity=Severity.NOTE,
            text="The plateau schedule has cut the learning rate to nothing: the remaining epochs "
            "will change little.",
            evidence={"rate": rate, "share_of_first": share, "epoch": epoch},
            remedy="Stop here, or start again with a higher train.plateau_patience.",
            changes=("train.plateau_patience=3",),
        )


def check_metric(
    val_losses: Sequence[float],
    base_rate_loss: float | None,
    mean_auroc: float | None,
    mean_auroc_interval: tuple[float, float] | None,
    *,
    is_weighted: bool = False,
) -> Iterator[Diagnosis]:
    """Whether loss and AUROC agree.

    A loss below the base rate together with an AUROC whose interval contains 0.5 means a broken
    metric. The reverse, a high loss with a good AUROC, is miscalibration or overfitting; it is
    reported after two such epochs, since batch norm's running statistics are immature in the first.

    Args:
        val_losses: one for each epoch so far.
        base_rate_loss: val loss of the best constant prediction, under the loss in use.
        mean_auroc: of the last epoch on val.
        mean_auroc_interval: the bounds of its confidence interval.
        is_weighted: whether val loss and base rate are weighted to the prevalence of the whole
            part.
    """
    if base_rate_loss is None or mean_auroc is None or mean_auroc_interval is None:
        return
    low, high = mean_auroc_interval
    val_loss = val_losses[-1]
    evidence = {
        "val_loss": val_loss,
        "base_rate": base_rate_loss,
        "mean_auroc": mean_auroc,
        "interval_low": low,
        "interval_high": high,
    }
    if val_loss < _UNDER_BASE * base_rate_loss and low <= 0.5 <= high:
        yield Diagnosis(
            check="metric-broken",
            severity=Severity.WARNING,
            text="Training works and the metric is broken: the val loss is below that of the best "
            "constant prediction, so the network tells images apart, but the AUROC is at chance.",
            evidence=evidence,
            remedy="Check what happens to the scores between the network and the AUROC.",
        )
    elif (
        len(val_losses) > 1
        and min(val_losses[-2:]) > _OVER_BASE * base_rate_loss
        and low > _BEYOND_CHANCE
    ):
        yield Diagnosis(
            check="miscalibrated",
            severity=Severity.NOTE,
            text="The ranking of the images is good, but the probabilities are not: the val loss "
            f"is above that of the best constant prediction. {_DRAWN if is_weighted else _OVERFIT}",
            evidence=evidence,
            remedy="Choose thresholds on val, and don't read the probabilities as risks.",
        )
