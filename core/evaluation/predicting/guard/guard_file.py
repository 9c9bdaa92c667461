"""The guard as a file of its session: arrays of numbers, no code."""

from __future__ import annotations

import dataclasses
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from core.evaluation.predicting.guard.guard import Guard
from core.regular_file import read_regular
from core.store.files import write_whole

GUARD_FILE = "guard.npz"
_MOST_BYTES = 16 * 2**20
_FORMAT = 1
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def write_guard(path: Path, guard: Guard) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    stream = io.BytesIO()
    arrays = {key: np.asarray(value) for key, value in dataclasses.asdict(guard).items()}
    np.savez_compressed(stream, allow_pickle=False, format=np.asarray(_FORMAT), **arrays)
    write_whole(path, stream.getvalue())


def read_guard(path: Path, checkpoint: str) -> Guard | None:
    """The guard of this checkpoint; None if there is none, or it can't be read."""
    try:
        content = read_regular(path, _MOST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            found = {name: kept[name] for name in kept.files}
    except _UNREADABLE:
        return None
    names = {field.name for field in dataclasses.fields(Guard)}
    if set(found) != names | {"format"} or found.pop("format").tolist() != _FORMAT:
        return None
    values = {name: _value(array) for name, array in found.items()}
    guard = Guard(**values)  # type: ignore[arg-type]  # checked next
    return guard if guard.checkpoint == checkpoint and _is_whole(guard) else None


def _value(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> object:
    return array if array.ndim else array.item()


def _is_whole(guard: Guard) -> bool:
    """Whether shapes and kinds fit together, and all numbers are finite."""
    arrays = [
        *(guard.alteration_DA, guard.alteration_A, guard.mean_C),
        *(guard.components_KC, guard.variance_K),
    ]
    if not all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays):
        return False
    numbers = [getattr(guard, field.name) for field in dataclasses.fields(Guard)]
    if not all(np.isfinite(value).all() for value in numbers if not isinstance(value, str)):
        return False
    return (
        guard.alteration_DA.ndim == guard.components_KC.ndim == 2
        and guard.alteration_DA.shape[1:] == guard.alteration_A.shape
        and guard.components_KC.shape == (*guard.variance_K.shape, *guard.mean_C.shape)
    )
