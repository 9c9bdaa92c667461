"""Checks of a run's first steps: is anything moving, and where to?

Each is a pure function of numbers that ``TrainingWatch`` measured. The thresholds stand apart by a
factor of ten and more from what healthy runs show, so that silence can be trusted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.health.diagnosis import Diagnosis, Severity

ENOUGH_POSITIVES = 8
"""Positive images that a finding must have had before its logits are expected to differ."""

_SAME_LOGITS = 0.01
_FEWEST_LOSSES = 12
_UNDER_BASE, _OVER_BASE = 0.97, 1.5
_RISING = 1.3
_STANDING_STILL = 0.01
_TINY_UPDATE, _SMALL_UPDATE, _HUGE_UPDATE = 1e-6, 1e-5, 0.05
"""Of a step, over the weights. Where networks learn it is a thousandth; what moves less than the
second stands still as long as its loss says so too."""

_TOO_HIGH = (
    "The learning rate is too high: the train loss rises, or each step changes the weights by "
    "several per cent."
)
_TOO_LOW = (
    "The learning rate is too low: the train loss stands still, and a step hardly changes the "
    "weights."
)
_FAR_OVER_BASE, _NOT_FALLING = 1.1, 0.9
_MANY_EXTREME = 0.05
_STATISTICS_OFF = 2.0


@dataclass(frozen=True)
class Spread:
    """How far apart the logits of a fixed val batch lie: standard deviation over its images."""

    step: int
    of_finding: Mapping[str, float]
    images: int


def check_spread(
    now: Spread, at_start: Spread | None, positives_seen: Mapping[str, int]
) -> Iterator[Diagnosis]:
    """Whether the network says the same for every image.

    Args:
        now: after some steps.
        at_start: before the first step, where that was measured.
        positives_seen: positive images that each finding has had so far.
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
            text="The network says nearly the same for every image, though it has seen positive "
            "ones.",
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
            text="No gradient reaches the first layer: only a part of the network can learn, or "
            "none of it.",
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
        base_rate_loss: of the best constant answer, under the loss in use.
        learning_rate: what the recipe asks for.
        share_of_peak: what a warm-up let that step have of it.
    """
    if len(losses) < _FEWEST_LOSSES:
        return
    quarter = len(losses) // 4
    first, last = statistics.median(losses[:quarter]), statistics.median(losses[-quarter:])
    mean_last = statistics.fmean(losses[-quarter:])  # of small batches the median is less
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
        better, remedy = learning_rate / 10, "A tenth of it"
    elif _stands_still(ratio, first, last, base_rate_loss):
        severity, text = Severity.WARNING, _TOO_LOW
        better, remedy = learning_rate * 10, "Ten times of it"
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
        f"learning: train loss {100 * (1 - mean_loss / base_rate_loss):.0f} % under the base rate"
    )


def _stands_still(
    update_ratio: float, first: float, last: float, base_rate_loss: float | None
) -> bool:
    """Whether steps are too small, by what they move and by what the loss does.

    A loss far over the base rate that does not fall says it surest: not even prevalence was
    learnt. Of weights that have learnt before, only a step of next to nothing says it.
    """
    if update_ratio < _TINY_UPDATE and abs(last - first) < _STANDING_STILL * first:
        return True
    over_base = base_rate_loss is not None and last > _FAR_OVER_BASE * base_rate_loss
    return update_ratio < _SMALL_UPDATE and over_base and last > _NOT_FALLING * first


def check_extreme_logits(share: float, step: int) -> Iterator[Diagnosis]:
    """Whether probabilities are exactly 0 or 1: share of val logits whose sigmoid is."""
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
    """Whether the same batch is scored as well with running statistics as with its own."""
    base = base_rate_loss or train_mode_loss
    if eval_mode_loss > _STATISTICS_OFF * train_mode_loss and eval_mode_loss > _OVER_BASE * base:
        yield Diagnosis(
            check="batch-norm",
            severity=Severity.WARNING,
            text="The same batch is scored far worse in validation's mode: batch norm's running "
            "statistics don't fit.",
            evidence={
                "loss_in_train_mode": train_mode_loss,
                "loss_in_eval_mode": eval_mode_loss,
                "base_rate": base_rate_loss,
                "step": step,
            },
            remedy="Larger micro-batches (train.micro_batch_size), or a lower learning rate.",
        )
