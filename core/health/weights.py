"""Checks of the weights that a run starts from: what matched, were they trained, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.health.diagnosis import Diagnosis, Severity
from core.recipe import NO_WEIGHTS

_FAR_OFF = 30.0
"""In scale. X-rays are smoother than photographs by less than ten; 0 … 255 in place of normalised
values is 58, torchxrayvision's range 500."""

if TYPE_CHECKING:  # an audit comes by here too, and needs no torch
    from core.model.densenet import ChestDenseNet
    from core.model.weights import LoadedModel


def check_weights(loaded: LoadedModel) -> Iterator[Diagnosis]:
    """What a file of weights gives away once it is in the network; nothing of fresh weights."""
    report = loaded.report
    if report.kind == NO_WEIGHTS:
        return
    evidence = {"matched": report.matched, "tensors": report.total}
    if report.matched < report.total:
        yield Diagnosis(
            check="weights-partial",
            severity=Severity.WARNING,
            text=f"Only {report.matched} of the backbone's {report.total} tensors came from the "
            "weights' file: the others are fresh, and undo what those know.",
            evidence=evidence,
            remedy="Use a file of DenseNet121 that is whole, or start from nothing "
            "(model.weights=none).",
            changes=("model.weights=none",),
        )
    if is_untrained(loaded.model):
        yield Diagnosis(
            check="weights-untrained",
            severity=Severity.WARNING,
            text="The weights' file matches, but its network was never trained: every batch norm "
            "has the statistics it was born with, so it scores like a fresh one.",
            evidence=evidence,
            remedy="Look at what wrote the file: it kept a network before training, or another "
            "than the one that was trained.",
        )


def is_untrained(model: ChestDenseNet) -> bool:
    """Whether all running means are 0 and all variances 1, which no training step leaves so."""
    buffers = dict(model.named_buffers())
    means = [item for name, item in buffers.items() if name.endswith("running_mean")]
    variances = [item for name, item in buffers.items() if name.endswith("running_var")]
    return all(not item.any() for item in means) and all((item == 1).all() for item in variances)


def check_value_range(scale: float | None, spec_name: str) -> Iterator[Diagnosis]:
    """Whether images come in another range of values than the weights were trained on.

    Args:
        scale: how many times stronger the first layer answers than its batch norm remembers, see
            ``core.model.first_layer.response_scale``; None where that can't be told.
        spec_name: the convention that the images are normalised by.
    """
    if scale is None or 1 / _FAR_OFF <= scale <= _FAR_OFF:
        return
    times = f"{scale:.3g} times stronger" if scale > 1 else f"{1 / scale:.3g} times weaker"
    yield Diagnosis(
        check="value-range",
        severity=Severity.WARNING,
        text=f"The weights are fed another range of values than they were trained on: their first "
        f"layer answers {times} than its batch norm remembers.",
        evidence={"scale": scale, "normalised_as": spec_name},
        remedy="Find out what range they were trained on (0 to 1, 0 to 255, -1024 to 1024): a file "
        "of cxr-tui, torchvision or torchxrayvision is known by its content, another is taken to "
        "be ImageNet's.",
    )
