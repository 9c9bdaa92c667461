"""Checkpoints: written whole or not at all, verified when read, never fewer than one.

Each write creates a new generation, such as ``last-000007``, of two or three files::

    last-000007.safetensors the model, readable by anything that reads safetensors
    last-000007.training.safetensors optimiser and random state, if any last-000007.json the state,
    and digests of the other files

The JSON file is renamed into place last: without it a generation doesn't exist. The previous
generation stays until the new one has been read back and its digests match. A reader takes the
newest complete generation and reports those it skipped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DataError, RunFailedError, SessionError
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import TOKEN, open_folder, write_whole

if TYPE_CHECKING:
    from torch import Tensor

LAST, BEST = "last", "best"
_KEPT_GENERATIONS = 2
_FORMAT = 1
_MAX_PART_BYTES = 8 * 2**30
_MANIFEST = re.compile(r"(?P<name>last|best)-(?P<generation>\d{6,})\.json")
_NAMES = r"(?P<name>last|best)-(?P<generation>\d{6,})\.(?:json|(?:training\.)?safetensors)"
_PART = re.compile(_NAMES)
_UNFINISHED_PART = re.compile(rf"\.{_NAMES}\.{TOKEN}")  # left by a process killed while writing


@dataclass(frozen=True)
class CheckpointFile:
    """One generation of a checkpoint on disk.

    Attributes:
        name: "last" or "best".
        generation: number of the write; the highest is the newest.
        model_path: file of the model's tensors.
        state_path: JSON file with the state and the digests.
        digests: SHA-256 of each tensor file, by file name.
    """

    name: str
    generation: int
    model_path: Path
    state_path: Path
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        file: the generation that was read.
        tensors: the model's, by name, on the CPU.
        training_tensors: the optimiser's and other tensors, by name; empty in a "best".
        state: JSON values: step, epoch, schedule, best so far, …
        metadata: the metadata of the model's file.
        passed_over: one sentence for each newer generation that is damaged.
    """

    file: CheckpointFile
    tensors: Mapping[str, Tensor]
    training_tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]
    metadata: Mapping[str, str]
    passed_over: tuple[str, ...] = field(default=())


class _DamagedError(Exception):
    """This generation can't be used; another one may be fine."""


def write_checkpoint(
    folder: Path,
    name: str,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    training_tensors: Mapping[str, Tensor] | None = None,
) -> CheckpointFile:
    """Write a new generation, verify it on disk, then delete all older ones but the previous one.

    Args:
        folder: must exist; creating it would bring back part of a moved or removed session.
        name: "last" or "best".
        tensors: the model's; copied to the CPU.
        state: any JSON value (NaN and infinities too).
        metadata: strings that describe the model in its own file.
        training_tensors: tensors that only a resumed run needs.

    Raises:
        RunFailedError: it can't be written (disk full, no permission); the previous generation is
            untouched.
    """
    if name not in (LAST, BEST):
        raise ValueError(f"a checkpoint's name is {LAST!r} or {BEST!r}, got {name!r}")
    parts = {".safetensors": _packed(tensors, metadata)}
    if training_tensors:
        parts[".training.safetensors"] = _packed(training_tensors, {})
    stem, generation = folder / "checkpoint", 1
    try:
        generation = max(_generations(folder, name), default=0) + 1
        stem = folder / f"{name}-{generation:06d}"
        _write_generation(stem, parts, state)
        written, _ = _read_manifest(folder, name, generation)
        for part, digest in written.digests.items():
            _read_verified(folder / part, digest)
    except (OSError, _DamagedError) as error:
        _drop(folder, name, {generation})  # on a full disk its space is needed
        raise RunFailedError(
            f"the checkpoint can't be written ({error})",
            where=stem,
            why="The previous one is still there" if generation > 1 else "",
            remedy="Free disk space or allow writing there, then run again with --resume",
        ) from error
    _drop_old(folder, name, newest=generation)
    return written


def _write_generation(stem: Path, parts: Mapping[str, bytes], state: Mapping[str, Any]) -> None:
    """Write the tensors, then the manifest that completes the generation."""
    digests: dict[str, str] = {}
    for suffix, content in parts.items():
        path = stem.with_name(stem.name + suffix)
        write_whole(path, content)
        digests[path.name] = hashlib.sha256(content).hexdigest()
    manifest = {
        "format": _FORMAT,
        "digests": digests,
        "state_digest": _state_digest(state),
        "state": dict(state),
    }
    # NaN is not strict JSON, but a NaN loss must not prevent the checkpoint.
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    write_whole(stem.with_name(f"{stem.name}.json"), text.encode())


def read_checkpoint(
    folder: Path, name: str, accepts: Callable[[Mapping[str, Any]], bool] | None = None
) -> Checkpoint:
    """Read the newest complete generation whose state ``accepts``, if given, accepts.

    Raises:
        SessionError: there is no checkpoint of this name.
        DataError: every checkpoint of this name is damaged.
    """
    passed_over: list[str] = []
    for generation in sorted(_generations(folder, name), reverse=True):
        try:
            read = _read_generation(folder, name, generation, tuple(passed_over))
            if accepts is None or accepts(read.state):
                return read
        except _DamagedError as error:
            passed_over.append(str(error))
    if not passed_over:
        raise SessionError(f"there is no {name!r} checkpoint", where=folder)
    raise DataError(
        f"every {name!r} checkpoint is damaged: {'; '.join(passed_over)}",
        where=folder,
        why="A run can't continue from weights that differ from what was written",
        remedy="Restore the files, or start a new session",
    )


def newest_state(folder: Path, name: str) -> Mapping[str, Any] | None:
    """The newest undamaged state, read without any tensors."""
    for generation in sorted(_generations(folder, name), reverse=True):
        with contextlib.suppress(_DamagedError):
            return _read_manifest(folder, name, generation)[1]
    return None


def state_beside(model_path: Path) -> Mapping[str, Any] | None:
    """The state saved with a model's file; None if it is missing or damaged."""
    match = _MANIFEST.fullmatch(f"{model_path.stem}.json")
    if match is None:
        return None
    with contextlib.suppress(_DamagedError):
        return _read_manifest(model_path.parent, match["name"], int(match["generation"]))[1]
    return None


def verified_checkpoints(folder: Path) -> tuple[CheckpointFile, ...]:
    """Every generation whose files match their digests, newest first within a name."""
    whole: list[CheckpointFile] = []
    for name in (LAST, BEST):
        for generation in sorted(_generations(folder, name), reverse=True):
            with contextlib.suppress(_DamagedError):
                whole.append(_verified(folder, name, generation))
    return tuple(whole)


def checkpoint_faults(folder: Path) -> tuple[str, ...]:
    """Why each generation can't be used, a sentence each; those that can be are left out."""
    faults: list[str] = []
    for name in (BEST, LAST):
        for generation in sorted(_generations(folder, name), reverse=True):
            try:
                _verified(folder, name, generation)
            except _DamagedError as error:
                faults.append(str(error))
    return tuple(faults)


def _verified(folder: Path, name: str, generation: int) -> CheckpointFile:
    file, _ = _read_manifest(folder, name, generation)
    for part, digest in file.digests.items():
        _read_verified(folder / part, digest)
    return file


def verify_model_file(path: Path) -> None:
    """Check a model's file against its digest; a file without one passes.

    Raises:
        DataError: the file differs from what was written.
    """
    match = _MANIFEST.fullmatch(f"{path.stem}.json")
    if match is None or not path.with_suffix(".json").exists():
        return
    try:
        file, _ = _read_manifest(path.parent, match["name"], int(match["generation"]))
        digest = file.digests.get(path.name)
        if digest is not None:
            _read_verified(path, digest)
    except _DamagedError as error:
        raise DataError(
            str(error), where=path, remedy="Use another checkpoint of the session"
        ) from error


def _packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    from safetensors.torch import save

    # Channels-last weights are stored contiguously; clones, since tensors may not share memory.
    plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    content: bytes = save(plain, metadata=dict(metadata))
    return content


def _unpacked(content: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise _DamagedError(f"{path.name} can't be read ({error})") from error
    return tensors, dict(header.get("__metadata__") or {})


def _read_generation(
    folder: Path, name: str, generation: int, passed_over: tuple[str, ...]
) -> Checkpoint:
    file, state = _read_manifest(folder, name, generation)
    unpacked: dict[str, tuple[dict[str, Tensor], dict[str, str]]] = {}
    for part, digest in file.digests.items():
        unpacked[part] = _unpacked(_read_verified(folder / part, digest), folder / part)
    tensors, metadata = unpacked.pop(file.model_path.name)
    training_tensors = {key: value for held, _ in unpacked.values() for key, value in held.items()}
    return Checkpoint(file, tensors, training_tensors, state, metadata, passed_over)


def _generations(folder: Path, name: str) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_MANIFEST.fullmatch(path.name) for path in folder.iterdir())
    return [int(match["generation"]) for match in matches if match and match["name"] == name]


def _read_manifest(
    folder: Path, name: str, generation: int
) -> tuple[CheckpointFile, dict[str, Any]]:
    stem = f"{name}-{generation:06d}"
    path, model_path = folder / f"{stem}.json", folder / f"{stem}.safetensors"
    try:
        manifest = json.loads(read_regular(path, MOST_JSON_BYTES))
        digests = {str(part): str(digest) for part, digest in manifest["digests"].items()}
        state = dict(manifest["state"])
        state_digest = _state_digest(state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(f"{path.name} can't be read ({error})") from error
    if manifest.get("format") != _FORMAT:
        other = str(manifest.get("format"))[:20]
        raise _DamagedError(f"{path.name} is in another version's format ({other})")
    if manifest.get("state_digest") != state_digest:
        raise _DamagedError(f"{path.name} is damaged: its state differs from what was written")
    own = {model_path.name, f"{stem}.training.safetensors"}
    if model_path.name not in digests or not own.issuperset(digests):
        raise _DamagedError(f"{path.name} doesn't name its own files")
    return CheckpointFile(name, generation, model_path, path, digests), state


def _state_digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _read_verified(path: Path, digest: str) -> bytes:
    try:
        content = read_regular(path, _MAX_PART_BYTES)
    except OSError as error:
        raise _DamagedError(f"{path.name} can't be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise _DamagedError(f"{path.name} is damaged: its SHA-256 differs from the recorded one")
    return content


def _drop_old(folder: Path, name: str, *, newest: int) -> None:
    """Keep the newest generations and the last complete one before them; delete leftovers."""
    kept = {newest}
    for generation in sorted(_generations(folder, name), reverse=True):
        if len(kept) == _KEPT_GENERATIONS:
            break
        with contextlib.suppress(_DamagedError):
            file, _ = _read_manifest(folder, name, generation)
            for part, digest in file.digests.items():
                _read_verified(folder / part, digest)
            kept.add(generation)
    # A higher number is not ours: somebody may have copied a file under that name.
    _drop(folder, name, {*range(1, newest)} - kept)


def _drop(folder: Path, name: str, unwanted: Collection[int]) -> None:
    """Delete the files of these generations, and unfinished files of any."""
    # Another reader may hold a file open; the next write tries again.
    with contextlib.suppress(OSError), open_folder(folder) as opened:
        for entry in os.listdir(opened):  # noqa: PTH208 - a descriptor
            part = _PART.fullmatch(entry)
            is_unwanted = part and part["name"] == name and int(part["generation"]) in unwanted
            # The only writer has just finished, so unfinished files are leftovers.
            if is_unwanted or _UNFINISHED_PART.fullmatch(entry):
                os.unlink(entry, dir_fd=opened)
