"""Checks of a recipe alone: settings that rarely make sense together.

A recipe that passes is not necessarily good. One that fails has a value that belongs to another
optimiser, data set size or run length.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.health.diagnosis import Diagnosis, Severity
from core.recipe import NO_WEIGHTS, Recipe, TrainSettings

_ADAMW_TOO_FAST, _ADAMW_USUAL, _ADAMW_TOO_SLOW = 0.003, 0.0003, 3e-6
_SGD_TOO_FAST_PRETRAINED, _SGD_TOO_FAST_FRESH, _SGD_USUAL = 0.1, 1.0, 0.01
_SGD_USUAL_MOMENTUM = 0.9
_SGD_TOO_SLOW = 0.005
"""Learning rate / (1 - momentum): the effective step size under a constant gradient."""

_HASTY_FACTOR = 0.1
_FEW_VAL_PATIENTS = 200
_TINY_BATCH = 4
_ENOUGH_IN_A_BATCH, _USUAL_BATCH = 8, 16
_FEW_EPOCHS_FRESH, _ENOUGH_EPOCHS_FRESH = 2, 10
_USUAL_WARMUP = 0.5


def check_recipe(recipe: Recipe, *, val_patients: int | None = None) -> list[Diagnosis]:
    """Check the settings before any data is read.

    Args:
        recipe: the settings.
        val_patients: number of patients in the val part; None if not yet known.
    """
    train = recipe.train
    is_fresh = recipe.model.weights == NO_WEIGHTS
    return [
        *_too_fast(train, is_fresh=is_fresh),
        *_too_slow(train),
        *_endless_warmup(train),
        *_tiny_batch(train),
        *_hasty_plateau(train, val_patients),
        *_few_epochs(train, is_fresh=is_fresh),
    ]


def _too_fast(train: TrainSettings, *, is_fresh: bool) -> Iterator[Diagnosis]:
    rate, usual = train.learning_rate, _SGD_USUAL
    if train.optimizer == "adamw" and rate >= _ADAMW_TOO_FAST:
        usual = _ADAMW_USUAL
        text = (
            f"A learning rate of {rate:g} suits SGD, not AdamW: each AdamW step moves every weight "
            "by about that much, which destroys what the weights had learnt."
        )
    elif train.optimizer == "sgd" and rate > (
        _SGD_TOO_FAST_FRESH if is_fresh else _SGD_TOO_FAST_PRETRAINED
    ):
        start = "random" if is_fresh else "pretrained"
        text = f"SGD at a learning rate of {rate:g} is likely to make {start} weights diverge."
    else:
        return
    yield Diagnosis(
        check="rate-high",
        severity=Severity.WARNING,
        text=text,
        evidence={"learning_rate": rate, "usual": usual},
        remedy=f"Train with a learning rate of {usual:g}.",
        changes=(f"train.learning_rate={usual:g}",),
    )


def _too_slow(train: TrainSettings) -> Iterator[Diagnosis]:
    rate, momentum = train.learning_rate, train.momentum
    if train.optimizer == "adamw":
        if rate <= _ADAMW_TOO_SLOW:
            yield _slow(
                f"AdamW at a learning rate of {rate:g} hardly changes the weights.",
                rate,
                {},
                _ADAMW_USUAL,
            )
        return
    reach = rate / (1 - momentum)
    if reach >= _SGD_TOO_SLOW:
        return
    changes = {} if momentum >= _SGD_USUAL_MOMENTUM else {"train.momentum": _SGD_USUAL_MOMENTUM}
    yield _slow(
        f"SGD at a learning rate of {rate:g} with momentum {momentum:g} uses a rate that suits "
        "Adam: its steps are far smaller than AdamW's, and the network may seem to learn nothing.",
        rate,
        changes,
        _SGD_USUAL,
    )


def _slow(text: str, rate: float, changes: dict[str, float], usual: float) -> Diagnosis:
    changes = {"train.learning_rate": usual} | changes
    return Diagnosis(
        check="rate-low",
        severity=Severity.NOTE,
        text=text,
        evidence={"learning_rate": rate, "usual": usual},
        remedy=f"Unless this is intended, train with a learning rate of {usual:g}"
        + (f" and momentum {_SGD_USUAL_MOMENTUM:g}." if len(changes) > 1 else "."),
        changes=tuple(f"{key}={value:g}" for key, value in changes.items()),
    )


def _endless_warmup(train: TrainSettings) -> Iterator[Diagnosis]:
    if 0 < train.epochs <= train.warmup_epochs:
        yield Diagnosis(
            check="warmup-endless",
            severity=Severity.WARNING,
            text="The learning rate still rises when training ends: the warm-up is as long as the "
            "run or longer.",
            evidence={"warmup_epochs": train.warmup_epochs, "epochs": train.epochs},
            remedy="Warm up for a small part of the run, or train for more epochs.",
            changes=(f"train.warmup_epochs={_USUAL_WARMUP:g}",),
        )


def _tiny_batch(train: TrainSettings) -> Iterator[Diagnosis]:
    at_once = min(train.micro_batch_size or train.batch_size, train.batch_size)
    if at_once >= _TINY_BATCH:
        return
    images = "1 image" if at_once == 1 else f"{at_once} images"
    is_whole_batch = train.batch_size < _TINY_BATCH
    larger = _USUAL_BATCH if is_whole_batch else min(train.batch_size, _ENOUGH_IN_A_BATCH)
    yield Diagnosis(
        check="batch-tiny",
        severity=Severity.WARNING if is_whole_batch else Severity.NOTE,
        text=f"Batch normalisation computes its mean and variance from {images} at a time: they "
        "are noisy in training and differ from those used in scoring.",
        evidence={"batch_size": train.batch_size, "images_at_once": at_once},
        remedy=f"Process {larger} images together; if they don't fit in memory, make the input "
        "smaller.",
        changes=(f"train.{'batch_size' if is_whole_batch else 'micro_batch_size'}={larger}",),
    )


def _hasty_plateau(train: TrainSettings, val_patients: int | None) -> Iterator[Diagnosis]:
    hasty = (
        train.schedule == "plateau"
        and train.plateau_patience == 0
        and train.plateau_factor <= _HASTY_FACTOR
    )
    if not hasty or val_patients is None or val_patients >= _FEW_VAL_PATIENTS:
        return
    yield Diagnosis(
        check="plateau-hasty",
        severity=Severity.NOTE,
        text="One epoch without a better val loss multiplies the learning rate by "
        f"{train.plateau_factor:g}, and with {val_patients:,} val patients such epochs occur by "
        "chance.",
        evidence={
            "plateau_patience": train.plateau_patience,
            "plateau_factor": train.plateau_factor,
            "val_patients": val_patients,
        },
        remedy="Wait for two more epochs, or use a cosine schedule.",
        changes=("train.plateau_patience=2",),
    )


def _few_epochs(train: TrainSettings, *, is_fresh: bool) -> Iterator[Diagnosis]:
    if is_fresh and train.epochs <= _FEW_EPOCHS_FRESH:
        yield Diagnosis(
            check="epochs-few",
            severity=Severity.NOTE,
            text="Random weights need more epochs than this: an AUROC near 0.5 would say little "
            "about the data or the other settings.",
            evidence={"epochs": train.epochs},
            remedy="Train for longer, or start from ImageNet weights (model.weights=imagenet).",
            changes=(f"train.epochs={_ENOUGH_EPOCHS_FRESH}",),
        )
