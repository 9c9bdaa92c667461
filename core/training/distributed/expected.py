"""Which tensors a command of rank 0 may announce, known before any of them is there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.study.study import PARTS
from core.training.distributed.messages import Heading, Spec, refused, spec_of
from core.training.trainer import Trainer


def expect_nothing(heading: Heading) -> None:
    """No tensors at all.

    Raises:
        CommandError: there are some.
    """
    if heading.specs:
        raise refused(f"{heading.kind} comes with {len(heading.specs)} tensors, and takes none")


def expect_parts(heading: Heading, num_images: int) -> None:
    """Each part's rows, patients and labels, and perhaps weights, of no more images than there are.

    Raises:
        CommandError: they are others.
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
    """This network's tensors, all of them, and the optimiser's of its parameters.

    Raises:
        CommandError: they are others.
    """
    wanted = {f"model/{name}": spec_of(item) for name, item in trainer.model.state_dict().items()}
    parameters = dict(trainer.model.named_parameters())
    for key, spec in heading.specs.items():
        if not key.startswith("optimizer/"):
            continue
        parameter = parameters.get(key.removeprefix("optimizer/").rpartition("|")[0])
        if parameter is not None and spec.dtype == torch.float32:
            # A moment has its parameter's shape; a count of steps has none.
            wanted[key] = spec if spec.shape == () else spec_of(parameter)
    _refuse_others(heading, wanted)


def refuse_other_rows(rows_N: NDArray[np.int64], num_images: int) -> None:
    """The rows of a part are those of images that there are.

    Raises:
        CommandError: one isn't.
    """
    if rows_N.min() < 0 or rows_N.max() >= num_images:
        raise refused(f"a part has rows that none of {num_images:,} images has")


def _refuse_others(heading: Heading, wanted: Mapping[str, Spec]) -> None:
    for name in (*wanted, *heading.specs):
        found, due = heading.specs.get(name), wanted.get(name)
        if found != due:
            what = f"{heading.kind} comes with {name[:100]} {_commands(found)}"
            raise refused(f"{what}, where {_commands(due)} is due")


def _commands(spec: Spec | None) -> str:
    if spec is None:
        return "left out"
    return f"{str(spec.dtype).removeprefix('torch.')} {list(spec.shape)}"
