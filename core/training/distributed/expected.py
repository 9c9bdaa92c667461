"""Which tensors a command of rank 0 may announce, known before any of them arrives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from core.recipe import PARTS
from core.training.distributed.messages import Heading, Spec, refused, spec_of
from core.training.trainer import Trainer


def expect_nothing(heading: Heading) -> None:
    """Accept no tensors.

    Raises:
        CommandError: the command announces some.
    """
    if heading.specs:
        raise refused(f"{heading.kind} comes with {len(heading.specs)} tensors; it takes none")


def expect_parts(heading: Heading, num_images: int) -> None:
    """Accept each part's rows, patients and labels, and perhaps weights, for at most ``num_images``
    images.

    Raises:
        CommandError: the command announces others.
    """
    findings = heading.fields.get("findings")
    count = len(findings) if isinstance(findings, list) else 0
    wanted: dict[str, Spec] = {}
    for part in PARTS:
        rows = heading.specs.get(f"{part}/index_rows_N")
        length = rows.shape[0] if rows is not None and rows.shape else 0
        if not 0 < length <= num_images:
            raise refused(f"its part {part} has {length:,} of {num_images:,} images")
        of_part = {
            "index_rows_N": Spec(torch.int64, (length,)),
            "patients_N": Spec(torch.int64, (length,)),
            "labels_NF": Spec(torch.float32, (length, count)),
        }
        if f"{part}/weights_N" in heading.specs:
            of_part["weights_N"] = Spec(torch.float64, (length,))
        wanted |= {f"{part}/{name}": spec for name, spec in of_part.items()}
    _refuse_others(heading, wanted)


def expect_weights(heading: Heading, trainer: Trainer) -> None:
    """Accept all of this network's tensors, and its parameters' optimiser state.

    Raises:
        CommandError: the command announces others.
    """
    wanted = {f"model/{name}": spec_of(item) for name, item in trainer.model.state_dict().items()}
    parameters = dict(trainer.model.named_parameters())
    for key, spec in heading.specs.items():
        if not key.startswith("optimizer/"):
            continue
        parameter = parameters.get(key.removeprefix("optimizer/").rpartition("|")[0])
        if parameter is not None and spec.dtype == torch.float32:
            # A moment has its parameter's shape; a step count is a scalar.
            wanted[key] = spec if spec.shape == () else spec_of(parameter)
    _refuse_others(heading, wanted)


def refuse_other_rows(rows_N: NDArray[np.int64], num_images: int) -> None:
    """Refuse rows outside the index.

    Raises:
        CommandError: a row is out of range.
    """
    if rows_N.min() < 0 or rows_N.max() >= num_images:
        raise refused(f"a part has rows outside the {num_images:,} images")


def _refuse_others(heading: Heading, wanted: Mapping[str, Spec]) -> None:
    for name in (*wanted, *heading.specs):
        found, due = heading.specs.get(name), wanted.get(name)
        if found != due:
            what = f"{heading.kind} comes with {name[:100]} {_commands(found)}"
            raise refused(f"{what}; expected {_commands(due)}")


def _commands(spec: Spec | None) -> str:
    if spec is None:
        return "left out"
    return f"{str(spec.dtype).removeprefix('torch.')} {list(spec.shape)}"
