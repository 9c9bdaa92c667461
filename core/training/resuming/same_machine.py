"""Whether a run resumes where it started: elsewhere it computes the same, but not to the last
bit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from core.errors import SessionError
from core.evaluation.predict import Placement
from core.events import Warned
from core.store.environment import describe_environment
from core.training.context import RunContext

Environment = Mapping[str, Any]

FILE = "environment.json"

BEFORE = "before"
"""In environment.json: the earlier environments of the run, the oldest first."""

_SINCE = "since_step"
_DEVICE = re.compile(r" \((cpu|mps|cuda)(:\d+)?\)$")  # which of several equal ones is irrelevant
_MATTERS: Mapping[str, Callable[[Environment], Any]] = {
    "the device": lambda found: _DEVICE.sub(r" (\1)", str(found["device_name"])),
    "the processor's instructions": lambda found: found["instructions"],
    "the number of threads": lambda found: found["threads"],
    "the precision": lambda found: found["precision"],
    "torch": lambda found: found["versions"]["torch"],
    "torchvision": lambda found: found["versions"]["torchvision"],
    "numpy": lambda found: found["versions"]["numpy"],
    "cxr-tui": lambda found: found["versions"]["cxr-tui"],
}


def environment_here(device_name: str, placement: Placement) -> Environment:
    """The environment of this process."""
    return {
        **describe_environment(),
        "device": str(placement.device),
        "device_name": device_name,
        "precision": placement.precision.name,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def keep_environment(context: RunContext, now: Environment, step: int) -> None:
    """Record the environment from this step on; report differences that change the run's bits, and
    keep the old one.

    Args:
        context: its session holds environment.json; each difference is recorded as an event.
        now: the environment of this process.
        step: at which the run starts or resumes.
    """
    session = context.session
    try:
        then = session.read_json(FILE) or {}
    except SessionError:
        then = {}  # damaged; it is for information only
    before = then.get(BEFORE)
    before = before if isinstance(before, list) else []
    changed = list(_differences(then, now)) if step else []
    if changed:
        before = [*before, {key: value for key, value in then.items() if key != BEFORE}]
    since = step if changed or not step else then.get(_SINCE, 0)
    earlier = {BEFORE: before} if before and step else {}
    context.keep(lambda: session.write_json(FILE, {**now, _SINCE: since} | earlier))
    for what, old, new in changed:
        message = (
            f"{what} was {old} until step {step:,} and is {new} now: the run continues, but its "
            "results are not bit-identical to those of an uninterrupted run"
        )
        context.record(Warned(message=message, where=str(session.path / FILE)))


def _differences(then: Environment, now: Environment) -> Iterator[tuple[str, Any, Any]]:
    """What matters for a sum's last bits, then and now; values missing in either are left out."""
    for what, of in _MATTERS.items():
        try:
            old, new = of(then), of(now)
        except (KeyError, TypeError):
            continue
        if old != new:
            yield what, str(old)[:100], str(new)[:100]
