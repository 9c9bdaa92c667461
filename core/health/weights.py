"""Checks of the weights that a run starts from: how much matched, and were they ever trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.health.diagnosis import Diagnosis, Severity
from core.recipe import NO_WEIGHTS

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
