"""Which step a run takes: eager, compiled, or replayed from a graph.

An engine is used if the time it saves pays for its warm-up, and only if it is as accurate as the
eager step: on the run's own batch and weights both are compared, tensor by tensor, with a step one
precision up. A fixed tolerance would not work: bf16 alone moves the gradients of DenseNet121's
first layers by half of their norm.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.data.batches import Batch
from core.model.device import synchronize
from core.model.precision import without_shortcuts
from core.training.step.backward import Backward, Outcome
from core.training.step.engines import ENGINE_ERRORS, Engine, Work, in_a_line, made_engine

Make = Callable[[str, Backward, Batch], Engine]

MARGIN = 2.0
"""An engine must save this many times its warm-up: the estimates are rough."""

LEAST_GAIN = 1.03
"""An engine that was measured to gain less is not worth using."""

_TIMED_STEPS, _TIMED_SECONDS = 5, 2.0


@dataclass(frozen=True)
class Expected:
    """Expected cost and gain of an engine, before it is tried.

    Attributes:
        warmup_seconds: to compile or capture it, and to check it.
        gain: its rate relative to the best step so far.
    """

    warmup_seconds: float
    gain: float


EXPECTED_ON_CUDA = {"graph": Expected(4.0, 1.5), "compiled": Expected(150.0, 1.4)}
"""In the order they are tried, the gain of each over the best before it; measurements at the start
decide. docs/performance.md has measured values."""


SLACK = 1.5
"""Each tensor's error may be this many times the eager step's, plus"""

FLOORS = {
    "fp32": {"loss": 1e-5, "gradients": 1e-2, "statistics": 1e-5},
    "bf16": {"loss": 1e-2, "gradients": 2e-2, "statistics": 5e-3},
}
"""this much: norm of the difference over the norm of the exact one. The eager step may be right by
luck. The same network in another memory layout stays within 1.2 times; a missing gradient or one of
the wrong sign is at 1 and 2, where about 0.9 is allowed at most layers in bf16."""


@dataclass(frozen=True)
class StepChoice:
    """What was chosen, and why.

    Attributes:
        kind: eager, compiled or graph.
        reason: a sentence without its full stop.
        engine: None for eager.
        gain: its measured rate relative to the eager step's.
        seconds: time spent choosing.
        failed: why an engine that was tried is not used.
    """

    kind: str
    reason: str
    engine: Engine | None = None
    gain: float | None = None
    seconds: float = 0.0
    failed: str | None = None


def seconds_saved(steps: int, seconds_per_step: float, expected: Expected) -> float:
    """Seconds that an engine saves in this many steps, minus its warm-up; may be negative."""
    return steps * seconds_per_step * (1 - 1 / expected.gain) - expected.warmup_seconds


def pays(steps: int, seconds_per_step: float, expected: Expected) -> bool:
    """Whether an engine is worth trying with this many steps left."""
    saved = seconds_saved(steps, seconds_per_step, expected)
    return saved >= (MARGIN - 1) * expected.warmup_seconds


def choose_step(
    backward: Backward,
    batch: Batch,
    *,
    asked: str,
    steps: int,
    make: Make = made_engine,
    expected: Mapping[str, Expected] = EXPECTED_ON_CUDA,
) -> StepChoice:
    """Choose the step for a run with this many steps left.

    Weights, batch statistics and random state are unchanged afterwards, gradients are None.

    Args:
        backward: the run's own.
        batch: a full batch of the run, or this rank's piece of one.
        asked: compiled, graph, or auto: what pays off on CUDA.
        steps: steps left.
        make: makes an engine of a kind.
        expected: of the kinds that auto tries, in that order.
    """
    started = time.monotonic()
    try:
        eager = _Eager(backward, batch)
    except (RuntimeError, MemoryError) as error:  # no memory for a second network
        return _uncheckable(error)
    if not eager.is_finite:
        return StepChoice(
            "eager", "the first batch's loss is not finite, so nothing can be checked"
        )
    best = StepChoice("eager", f"nothing else pays off in {steps:,} steps")
    fastest = eager.seconds_per_step
    failed: list[str] = []
    reference: _Reference | None = None
    for kind in expected if asked == "auto" else (asked,):
        if asked == "auto" and not pays(steps, fastest, expected[kind]):
            continue
        try:
            reference = reference or _Reference(backward, batch, eager)
        except (RuntimeError, MemoryError) as error:
            return _uncheckable(error)
        try:
            engine, seconds = _checked_engine(kind, backward, batch, reference, make)
        except ENGINE_ERRORS as error:
            failed.append(f"the {kind} step can't be used: {in_a_line(error)}")
            continue
        if asked == "auto" and fastest / seconds < LEAST_GAIN:
            gained = f"{fastest / seconds:.2f} × the rate of the {best.kind} step"
            failed.append(f"the {kind} step gains nothing ({gained})")
            continue
        gain, fastest = eager.seconds_per_step / seconds, seconds
        reason = f"{gain:.2f} × the rate of the eager step, with the same loss and gradients"
        best = StepChoice(kind, reason, engine, gain)
    if failed and best.engine is None:
        best = replace(best, reason=failed[0])
    return replace(best, seconds=time.monotonic() - started, failed="; ".join(failed) or None)


def _uncheckable(error: BaseException) -> StepChoice:
    return StepChoice("eager", f"nothing else could be checked: {in_a_line(error)}")


class DifferentStepError(RuntimeError):
    """An engine that doesn't compute the same as the eager step."""


def difference(found: Tensor, exact: Tensor) -> float:
    """Norm of the difference over the norm of the exact tensor."""
    apart = float((found.double() - exact.double()).norm())
    return apart / max(float(exact.double().norm()), 1e-30)


Values = dict[str, list[Tensor]]


def _values(work: Work, backward: Backward) -> Values:
    """Results of a step, as copies."""
    loss = work.loss_and_norm_2[0] if isinstance(work, Outcome) else work
    return {
        "loss": [loss.reshape(1).clone()],
        "gradients": [gradient.clone() for gradient in backward.gradients()],
        "statistics": [backward.statistics.copy()],
    }


class _Eager:
    """The eager step on a copy of the network: its values, and its throughput."""

    def __init__(self, backward: Backward, batch: Batch) -> None:
        eager = backward.on_copy(copy.deepcopy(backward.model))
        self.values = _values(eager.work(batch), eager)
        finite = [tensor.isfinite().all() for tensor in self.values["loss"]]
        finite += [tensor.isfinite().all() for tensor in self.values["gradients"]]
        self.is_finite = bool(torch.stack(finite).all())
        device = backward.placement.device
        self.seconds_per_step = _seconds_per_step(lambda: eager.work(batch), device)


class _Reference:
    """An exact step on a copy of the network, and the allowed errors."""

    def __init__(self, backward: Backward, batch: Batch, eager: _Eager) -> None:
        exact = backward.one_precision_up(copy.deepcopy(backward.model))
        with without_shortcuts(backward.placement.device):
            self.exact = _values(exact.work(batch), exact)
        floors = FLOORS[backward.placement.precision.name]
        self.allowed = {
            what: [
                SLACK * difference(value, exact) + floors[what]
                for value, exact in zip(values, self.exact[what], strict=True)
            ]
            for what, values in eager.values.items()
        }


def _checked_engine(
    kind: str, backward: Backward, batch: Batch, reference: _Reference, make: Make
) -> tuple[Engine, float]:
    """A checked engine, and the seconds of its step.

    Raises:
        DifferentStepError: it doesn't match the eager step; or any of ENGINE_ERRORS.
    """
    before = [(buffer, buffer.clone()) for buffer in backward.model.buffers()]
    statistics = backward.statistics.copy()
    try:
        engine = make(kind, backward, batch)
        backward.statistics.put_back(statistics)  # captures run it a few times first
        _refuse_other_values(_values(engine(batch), backward), reference)
        seconds = _seconds_per_step(lambda: engine(batch), backward.placement.device)
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        for parameter in backward.parameters:
            parameter.grad = None
    return engine, seconds


def _refuse_other_values(found: Values, reference: _Reference) -> None:
    for what, values in found.items():
        wanted = zip(values, reference.exact[what], reference.allowed[what], strict=True)
        for value, exact, allowed in wanted:
            off = difference(value, exact)
            if not off <= allowed:  # NaN too
                raise DifferentStepError(
                    f"its {what} differ from the exact ones by {off:.2g} of their norm; the eager "
                    f"step's own error allows {allowed:.2g}"
                )


def _seconds_per_step(step: Callable[[], object], device: torch.device) -> float:
    """Mean of a few steps, synchronised at both ends; the step has run once before."""
    synchronize(device)
    began, done = time.perf_counter(), 0
    while done < _TIMED_STEPS:
        step()
        done += 1
        if device.type == "cpu" and time.perf_counter() - began > _TIMED_SECONDS:
            break
    synchronize(device)
    return (time.perf_counter() - began) / done
