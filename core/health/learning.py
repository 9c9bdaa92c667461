"""Checks of a run's first steps: do the weights move, and does the loss fall?

Each is a pure function of numbers that ``TrainingWatch`` measured. The thresholds are a factor of
ten or more away from what healthy runs show, so a healthy run stays quiet.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.health.diagnosis import Diagnosis, Severity

ENOUGH_POSITIVES = 8
"""Positive images of a finding that must have been trained on before its logits should differ."""

_SAME_LOGITS = 0.01
_FEWEST_LOSSES = 12
_UNDER_BASE, _OVER_BASE = 0.97, 1.5
_RISING = 1.3
_STANDING_STILL = 0.01
_TINY_UPDATE, _SMALL_UPDATE, _HUGE_UPDATE = 1e-6, 1e-5, 0.05
"""Norm of a step's update over the norm of the weights. Networks that learn have about 1e-3; below
the second value a network stands still if its loss does not fall either."""

_TOO_HIGH = (
    "The learning rate is too high: the train loss rises, or each step changes the weights by "
    "several per cent."
)
_TOO_LOW = (
    "The learning rate is too low: the train loss doesn't fall, and a step hardly changes the "
    "weights."
)
_FAR_OVER_BASE, _NOT_FALLING = 1.1, 0.9
_MANY_EXTREME = 0.05
_STATISTICS_OFF = 2.0


@dataclass(frozen=True)
class Spread:
    """Spread of the logits of a fixed val batch: standard deviation over its images."""

    step: int
    of_finding: Mapping[str, float]
    images: int


def check_spread(
    now: Spread, at_start: Spread | None, positives_seen: Mapping[str, int]
) -> Iterator[Diagnosis]:
    """Whether the network gives the same output for every image.

    Args:
        now: spread after some steps.
        at_start: spread before the first step, if it was measured.
        positives_seen: positive images of each finding trained on so far.
    """
    judged = {
        finding: spread
        for finding, spread in now.of_finding.items()
        if positives_seen.get(finding, 0) >= ENOUGH_POSITIVES
    }
    if not judged:
        return
    widest = max(judged.values())
    evidence = {
        "logit_spread": widest,
        "at_step_0": max(at_start.of_finding.values()) if at_start else None,
        "step": now.step,
        "val_images": now.images,
        "findings": len(judged),
    }
    if widest < _SAME_LOGITS:
        yield Diagnosis(
            check="same-for-every-image",
            severity=Severity.STOP if now.step >= 200 else Severity.WARNING,
            text="The network's output is nearly the same for every image, though it has seen "
            "positive ones.",
            evidence=evidence,
            remedy="Look at the first batch for black or identical images; lower the learning "
            "rate; check that the weights were loaded.",
        )
    elif now.step >= 200:
        yield Diagnosis(
            check="same-for-every-image",
            severity=Severity.OK,
            text=f"logits spread by {widest:.2g} over val images",
            evidence=evidence,
        )


def check_gradient(first_layer_norm: float, total_norm: float, step: int) -> Iterator[Diagnosis]:
    """Whether a gradient reaches the first convolution."""
    evidence = {"first_layer_norm": first_layer_norm, "total_norm": total_norm, "step": step}
    if total_norm > 0 and first_layer_norm > 0:
        yield Diagnosis(
            check="gradient",
            severity=Severity.OK,
            text="gradients reach the first layer",
            evidence=evidence,
        )
    else:
        yield Diagnosis(
            check="gradient",
            severity=Severity.STOP,
            text="No gradient reaches the first layer: only part of the network can learn, or none "
            "of it.",
            evidence=evidence,
            remedy="Check that images are not all black, and that labels are known.",
        )


def check_rate(
    losses: Sequence[float],
    update_ratio: float | None,
    base_rate_loss: float | None,
    learning_rate: float,
    share_of_peak: float = 1.0,
) -> Iterator[Diagnosis]:
    """Whether the learning rate is too high or too low, from the first steps' train losses.

    Args:
        losses: of the first steps, up to 200, in order.
        update_ratio: norm of one step's change of the weights over the weights' norm.
        base_rate_loss: loss of the best constant prediction, under the loss in use.
        learning_rate: the recipe's.
        share_of_peak: the fraction of it that warm-up allowed at that step.
    """
    if len(losses) < _FEWEST_LOSSES:
        return
    quarter = len(losses) // 4
    first, last = statistics.median(losses[:quarter]), statistics.median(losses[-quarter:])
    mean_last = statistics.fmean(losses[-quarter:])  # for small batches the median is lower
    base = base_rate_loss or first
    evidence = {
        "loss_first": first,
        "loss_last": last,
        "base_rate": base_rate_loss,
        "update_to_weight": update_ratio,
        "steps": len(losses),
    }
    ratio = math.inf if update_ratio is None else update_ratio / max(share_of_peak, 1e-9)
    if (last > _OVER_BASE * base and last > _RISING * first) or (update_ratio or 0) > _HUGE_UPDATE:
        severity, text = Severity.WARNING, _TOO_HIGH
        better, remedy = learning_rate / 10, "A tenth of that"
    elif _stands_still(ratio, first, last, base_rate_loss):
        severity, text = Severity.WARNING, _TOO_LOW
        better, remedy = learning_rate * 10, "Ten times that"
    else:
        severity, text = Severity.OK, _how_it_learns(mean_last, base_rate_loss)
        better, remedy = None, ""
    change = None if better is None else f"train.learning_rate={better:.2g}"
    yield Diagnosis(
        check="learning-rate",
        severity=severity,
        text=text,
        evidence=evidence,
        remedy=f"{remedy}: {change}." if change else "",
        changes=(change,) if change else (),
    )


def _how_it_learns(mean_loss: float, base_rate_loss: float | None) -> str:
    if base_rate_loss is None or mean_loss >= _UNDER_BASE * base_rate_loss:
        return "the learning rate moves the weights"
    return (
        f"learning: train loss {100 * (1 - mean_loss / base_rate_loss):.0f} % below the base rate"
    )


def _stands_still(
    update_ratio: float, first: float, last: float, base_rate_loss: float | None
) -> bool:
    """Whether steps are too small, judged by the update ratio and the loss.

    The surest sign is a loss far above the base rate that does not fall: not even prevalence was
    learnt. For pretrained weights only a nearly zero update counts.
    """
    if update_ratio < _TINY_UPDATE and abs(last - first) < _STANDING_STILL * first:
        return True
    over_base = base_rate_loss is not None and last > _FAR_OVER_BASE * base_rate_loss
    return update_ratio < _SMALL_UPDATE and over_base and last > _NOT_FALLING * first


def check_extreme_logits(share: float, step: int) -> Iterator[Diagnosis]:
    """Whether too large a share of val logits has a sigmoid of exactly 0 or 1."""
    if share > _MANY_EXTREME:
        yield Diagnosis(
            check="saturated",
            severity=Severity.WARNING,
            text="Many outputs are so extreme that their probability is exactly 0 or 1, where no "
            "gradient is left.",
            evidence={"share": share, "step": step},
            remedy="Lower the learning rate, or clip gradients (train.clip_norm=1).",
            changes=("train.clip_norm=1",),
        )


def check_batch_norm(
    train_mode_loss: float, eval_mode_loss: float, base_rate_loss: float | None, step: int
) -> Iterator[Diagnosis]:
    """Whether a batch scores as well with running statistics as with its own."""
    base = base_rate_loss or train_mode_loss
    if eval_mode_loss > _STATISTICS_OFF * train_mode_loss and eval_mode_loss > _OVER_BASE * base:
        yield Diagnosis(
            check="batch-norm",
            severity=Severity.WARNING,
            text="The same batch has a far higher loss in eval mode: batch norm's running "
            "statistics don't fit.",
            evidence={
                "loss_in_train_mode": train_mode_loss,
                "loss_in_eval_mode": eval_mode_loss,
                "base_rate": base_rate_loss,
                "step": step,
            },
            remedy="Use larger micro-batches (train.micro_batch_size) or a lower learning rate.",
        )
