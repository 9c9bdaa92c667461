"""How rank 0's commands are serialised: JSON of announced length, and raw tensors after it.

No pickle: that is a program, and an impostor of rank 0 could run one here. What arrives is read as
numbers and strings of known types, or refused. The length of the JSON is bounded before it is read,
and the announced tensors are known before memory is allocated:
``core.training.distributed.following`` compares them with what it expects.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.data.images.image_file import ImageFile
from core.errors import RecipeError
from core.model.input_spec import InputSpec
from core.recipe_toml import checked_recipe
from core.training.distributed.ranks import (
    BeginEpoch,
    Build,
    Command,
    CommandError,
    End,
    PartRows,
    Prepare,
    Restore,
    Score,
    Step,
    TakeStep,
)

MOST_TEXT_BYTES = 512 * 2**20
"""Limit of a command's JSON. NIH's 112,120 files, the longest command, take 12 MB."""

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.uint8, torch.bool),
    )
}
_ALIGNED_BYTES = 8
_MOST_AXES = 8
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, RecipeError)


@dataclass(frozen=True)
class Spec:
    """Shape and type of an announced tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Its size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Heading:
    """A command without its tensors, and the tensors it announces."""

    kind: str
    fields: Mapping[str, Any]
    specs: Mapping[str, Spec]


def spec_of(tensor: Tensor) -> Spec:
    """The announcement of this tensor."""
    return Spec(tensor.dtype, tuple(tensor.shape))


def refused(what: str) -> CommandError:
    """An error for something that is not a command."""
    return CommandError(
        f"what arrived as a command of process 0 is not one: {what}",
        why="Nothing of it was used.",
        remedy="Another version of cxr-tui, or somebody else, answers in its place.",
    )


def text_of(command: Command) -> tuple[bytes, Sequence[Tensor]]:
    """The command as JSON, and its tensors in the order announced there."""
    fields, tensors = _taken_apart(command)
    announced = [
        [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        for name, tensor in tensors.items()
    ]
    whole = {"command": type(command).__name__, "fields": fields, "tensors": announced}
    # ASCII: a file name that is not UTF-8 survives as escapes.
    return json.dumps(whole, separators=(",", ":")).encode("ascii"), list(tensors.values())


def heading_of(text: bytes) -> Heading:
    """Parse the JSON of a command.

    Raises:
        CommandError: ``text_of`` did not write it.
    """
    try:
        whole = json.loads(text)
        kind, fields = whole["command"], whole["fields"]
        specs = {name: _spec(dtype, shape) for name, dtype, shape in whole["tensors"]}
        if kind not in _MAKERS or not isinstance(fields, dict):
            raise ValueError(f"{str(kind)[:40]!r} is unknown")
    except _ODD as error:
        raise refused(f"{type(error).__name__}, {error}"[:300]) from None
    return Heading(kind, fields, specs)


def command_of(heading: Heading, tensors: Mapping[str, Tensor]) -> Command:
    """The command with its tensors.

    Raises:
        CommandError: a field is missing, unknown or of another type.
    """
    try:
        return _MAKERS[heading.kind](heading.fields, tensors)
    except _ODD as error:
        raise refused(f"{heading.kind}: {type(error).__name__}, {error}"[:300]) from None


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """All of their bytes as uint8, each tensor aligned so that it can be read in place."""
    flat = torch.zeros(_packed_bytes(map(spec_of, tensors)), dtype=torch.uint8)
    start = 0
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        flat[start : start + len(plain)] = plain
        start += _aligned(len(plain))
    return flat


def room_for(specs: Mapping[str, Spec]) -> Tensor:
    """A buffer for the bytes of these tensors."""
    return torch.zeros(_packed_bytes(specs.values()), dtype=torch.uint8)


def unpacked(flat: Tensor, specs: Mapping[str, Spec]) -> dict[str, Tensor]:
    """The tensors, as views of the buffer."""
    tensors, start = {}, 0
    for name, spec in specs.items():
        plain = flat[start : start + spec.num_bytes]
        tensors[name] = plain.view(spec.dtype).reshape(spec.shape)
        start += _aligned(spec.num_bytes)
    return tensors


def _packed_bytes(specs: Any) -> int:
    return sum(_aligned(spec.num_bytes) for spec in specs)


def _aligned(num_bytes: int) -> int:
    return -(-num_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES


def _spec(dtype: Any, shape: Any) -> Spec:
    axes = tuple(shape)
    if len(axes) > _MOST_AXES or not all(type(axis) is int and axis >= 0 for axis in axes):
        raise ValueError(f"a tensor can't be {str(axes)[:80]}")
    return Spec(_DTYPES[dtype], axes)


def _taken_apart(command: Command) -> tuple[dict[str, Any], dict[str, Tensor]]:
    match command:
        case Prepare():
            recipe = command.recipe.model_dump(mode="json", exclude_none=True)
            files = _files_as_json(command.files)
            return {**vars(command), "recipe": recipe, "files": files}, {}
        case Build():
            fields = {**vars(command), "input_spec": command.input_spec.to_json()}
            del fields["parts"]
            return fields, {
                f"{part}/{name}": torch.from_numpy(np.ascontiguousarray(value))
                for part, rows in command.parts.items()
                for name, value in vars(rows).items()
                if value is not None
            }
        case Restore():
            of_both = {"model": command.model, "optimizer": command.optimizer}
            return {"state": command.state}, {
                f"{of}/{name}": tensor
                for of, all_of in of_both.items()
                for name, tensor in all_of.items()
            }
        case _:
            return dict(vars(command)), {}


def _prepare(fields: Mapping[str, Any], _tensors: Mapping[str, Tensor]) -> Command:
    files = _files_of_json(fields["files"])
    wanted = tuple(fields["wanted"])
    if not all(type(row) is int and 0 <= row < len(files) for row in wanted):
        raise ValueError("an image is used that does not exist")
    return Prepare(
        checked_recipe(fields["recipe"], "process 0"),
        files,
        wanted,
        _text(fields["resize"]),
        _flag(fields["is_miniature"]),
    )


def _build(fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Command:
    parts: dict[str, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        part, _, name = path.partition("/")
        parts.setdefault(part, {})[name] = tensor.numpy()
    return Build(
        {part: PartRows(**rows) for part, rows in parts.items()},
        _text(fields["content"]),
        tuple(_text(finding) for finding in fields["findings"]),
        InputSpec.from_json(fields["input_spec"], where="process 0"),
        _text(fields["precision"]),
    )


def _restore(fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Command:
    def of(whose: str) -> dict[str, Tensor]:
        begin = f"{whose}/"
        return {
            name.removeprefix(begin): tensor
            for name, tensor in tensors.items()
            if name.startswith(begin)
        }

    return Restore(of("model"), of("optimizer"), _table(fields["state"]))


def _files_as_json(files: Mapping[str, ImageFile]) -> dict[str, Any]:
    """As columns; an archive's path is written once for all its images."""
    numbers: dict[str, int] = {}
    path_N = [numbers.setdefault(file.place, len(numbers)) for file in files.values()]
    return {
        "names": list(files),
        "paths": list(numbers),
        "path": path_N,
        "member": [file.member for file in files.values()],
        "num_bytes": [int(file.num_bytes) for file in files.values()],
        "signature": [int(file.signature) for file in files.values()],
    }


def _files_of_json(columns: Mapping[str, Any]) -> dict[str, ImageFile]:
    paths = [_text(path) for path in columns["paths"]]
    names = ("names", "path", "member", "num_bytes", "signature")
    rows = zip(*(columns[name] for name in names), strict=True)
    return {
        _text(name): ImageFile(
            name, paths[_whole(path)], member if member is None else _text(member),
            (_whole(num_bytes), _whole(signature)),
        )
        for name, path, member, num_bytes, signature in rows
    }  # fmt: skip


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is expected, not {type(value).__name__}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is expected, not {type(value).__name__}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is expected, not {type(value).__name__}")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"a table is expected, not {type(value).__name__}")
    return value


_MAKERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Tensor]], Command]] = {
    "Prepare": _prepare,
    "Build": _build,
    "Restore": _restore,
    "TakeStep": lambda fields, _: TakeStep(_text(fields["kind"])),
    "BeginEpoch": lambda fields, _: BeginEpoch(_table(fields["state"])),
    "Step": lambda _fields, _tensors: Step(),
    "Score": lambda fields, _: Score(_text(fields["part"]), _flag(fields["exactly"])),
    "End": lambda fields, _: End(_whole(fields["code"])),
}
