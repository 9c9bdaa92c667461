"""Whether a checkpoint belongs to this run; checked before it is loaded into the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from core.errors import DataError
from core.model.own_metadata import read_metadata
from core.store.checkpoint import Checkpoint
from core.training.progress import Progress
from core.training.trainer import Trainer

_COUNTS = ("epoch", "step_in_epoch", "step", "loss_steps", "epochs_without_better")


def refuse_another_run(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Refuse a checkpoint with other findings, shapes, names or state than this run writes.

    Raises:
        DataError: it is not this run's, or holds values that are not numbers.
    """
    path = checkpoint.file.model_path
    own = read_metadata(checkpoint.metadata, where=path)
    findings = tuple(trainer.model.findings)
    if own is not None and own.findings != findings:
        raise _another(
            checkpoint,
            f"its outputs are {', '.join(own.findings)[:500]}, but the recipe has "
            f"{', '.join(findings)}",
        )
    wanted = trainer.model.state_dict()
    strange = sorted(set(wanted) ^ set(checkpoint.tensors))
    if strange:
        raise _another(checkpoint, f"its network differs from the recipe's in {strange[0][:200]}")
    for name, tensor in checkpoint.tensors.items():
        _refuse_other_values(checkpoint, name, tensor, wanted[name])
    parameters = dict(trainer.model.named_parameters())
    for key, tensor in checkpoint.training_tensors.items():
        parameter = parameters.get(key.rpartition("|")[0])
        if parameter is None or (tensor.ndim and tensor.shape != parameter.shape):
            raise _another(checkpoint, f"its optimiser has {key[:200]}, of no parameter")
    if progress_of(checkpoint.state) is None:
        raise _another(checkpoint, "it doesn't say how far the run was")


def progress_of(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's progress in its checkpoint's state; None if it can't be read."""
    progress = state.get("progress")
    names = {item.name for item in dataclasses.fields(Progress)}
    if not isinstance(progress, dict) or not names.issuperset(progress):
        return None
    counts = [progress.get(name, 0) for name in _COUNTS]
    best = progress.get("best_epoch")
    is_whole = all(type(count) is int and count >= 0 for count in counts)
    return progress if is_whole and (best is None or type(best) is int) else None


def _refuse_other_values(checkpoint: Checkpoint, name: str, found: Tensor, wanted: Tensor) -> None:
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise _another(
            checkpoint,
            f"{name} is {tuple(found.shape)[:8]} of {found.dtype}, but the network has "
            f"{tuple(wanted.shape)} of {wanted.dtype}",
        )
    if not torch.isfinite(found).all():
        raise DataError(
            f"{name} holds values that are not numbers",
            where=checkpoint.file.model_path,
            why="All later predictions would be NaN too",
            remedy="Start a new session, or delete this checkpoint if the one before it is intact",
        )


def _another(checkpoint: Checkpoint, how: str) -> DataError:
    return DataError(
        f"this checkpoint is not one of this run: {how}",
        where=checkpoint.file.model_path,
        why="A run can't continue from the weights of another",
        remedy="Restore the session's own files, or start a new session",
    )
