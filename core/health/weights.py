"""Checks of a run's initial weights: which tensors matched, and was the network trained?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.health.diagnosis import Diagnosis, Severity
from core.recipe import NO_WEIGHTS

_FAR_OFF = 30.0
"""Factor between scales. X-rays, which are smoother than photographs, differ by less than 10; a
range of 0 … 255 instead of normalised values gives 58, torchxrayvision's range 500."""

if TYPE_CHECKING:  # audits import this module too, without torch
    from core.model.densenet import ChestDenseNet
    from core.model.weights import LoadedModel


def check_weights(loaded: LoadedModel) -> Iterator[Diagnosis]:
    """Check weights that were loaded from a file; random weights pass."""
    report = loaded.report
    if report.kind == NO_WEIGHTS:
        return
    evidence = {"matched": report.matched, "tensors": report.total}
    if report.matched < report.total:
        yield Diagnosis(
            check="weights-partial",
            severity=Severity.WARNING,
            text=f"Only {report.matched} of the backbone's {report.total} tensors were in the "
            "weights file: the others are random, and make the loaded ones useless.",
            evidence=evidence,
            remedy="Use a complete DenseNet121 file, or start from random weights "
            "(model.weights=none).",
            changes=("model.weights=none",),
        )
    if is_untrained(loaded.model):
        yield Diagnosis(
            check="weights-untrained",
            severity=Severity.WARNING,
            text="The weights file matches, but its network was never trained: every batch norm "
            "still has its initial statistics, so the network scores like a random one.",
            evidence=evidence,
            remedy="Check the script that wrote the file: it saved the network before training, or "
            "another network than the trained one.",
        )


def is_untrained(model: ChestDenseNet) -> bool:
    """Whether all running means are 0 and all variances 1, as only before training."""
    buffers = dict(model.named_buffers())
    means = [item for name, item in buffers.items() if name.endswith("running_mean")]
    variances = [item for name, item in buffers.items() if name.endswith("running_var")]
    return all(not item.any() for item in means) and all((item == 1).all() for item in variances)


def check_value_range(scale: float | None, spec_name: str) -> Iterator[Diagnosis]:
    """Whether the input's range of values differs from the one that the weights were trained on.

    Args:
        scale: ratio of the first layer's response to its batch norm's running statistics, see
            ``core.model.first_layer.response_scale``; None if unknown.
        spec_name: the convention by which images are normalised.
    """
    if scale is None or 1 / _FAR_OFF <= scale <= _FAR_OFF:
        return
    times = f"{scale:.3g} times stronger" if scale > 1 else f"{1 / scale:.3g} times weaker"
    yield Diagnosis(
        check="value-range",
        severity=Severity.WARNING,
        text="The weights receive another range of values than they were trained on: the first "
        f"layer's response is {times} than its batch norm statistics.",
        evidence={"scale": scale, "normalised_as": spec_name},
        remedy="Find out which range they were trained on (0 to 1, 0 to 255, -1024 to 1024): files "
        "from cxr-tui, torchvision and torchxrayvision are recognised by their content, any other "
        "is treated as ImageNet's.",
    )
