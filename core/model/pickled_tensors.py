"""Find the named tensors in a followed pickle.

Knows how torch writes tensors (0.1.11 to today), parameters, state dicts and whole modules. Nothing
is built here: a tensor is a description of where its values are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from core.model.inert_pickle import BrokenPickleError, Name, Persistent, Record

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_REBUILD_TENSOR = ("_rebuild_tensor", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_WRAPPED_UNDER = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
_MODULE_TABLES = ("_parameters", "_buffers", "_modules")
_LABEL_LISTS = ("pathologies", "targets", "findings", "labels", "class_names")
_MOST_MODULES, _DEEPEST_WRAPPING = 20_000, 3
_MOST_ENTRIES, _LONGEST_NAME, _MOST_AXES = 1_000_000, 1_000, 8


@dataclass(frozen=True)
class StorageSpec:
    """A block of values stored outside the pickle."""

    key: str
    dtype: torch.dtype
    num_values: int


@dataclass(frozen=True)
class TensorSpec:
    """Where a tensor's values are in its storage, in elements."""

    storage: StorageSpec
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """The named tensors of a checkpoint, and plain values next to them."""

    tensors: Mapping[str, TensorSpec]
    notes: Mapping[str, object] = field(default_factory=dict)
    class_name: str | None = None


def find_tensors(root: Any) -> Found:
    """The state dict that ``root`` is or contains; the one with most tensors if there are several.

    Raises:
        BrokenPickleError: a tensor or a module is described in a way that torch doesn't write.
    """
    found = max(
        _candidates(root, 0, set()), key=lambda candidate: len(candidate.tensors), default=None
    )
    if found is None:
        return Found({})
    return Found(found.tensors, {**_plain_facts(root), **found.notes}, found.class_name)


def storage_spec(reference: Persistent) -> StorageSpec | None:
    """The storage that a reference describes; None for a reference to a class's source."""
    key = reference.key
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
        return None
    kind, name, num_values = key[1], key[2], key[4]
    dtype = _DTYPES.get(kind.name) if isinstance(kind, Name) else None
    if dtype is None or not isinstance(num_values, int) or num_values < 0:
        raise BrokenPickleError("a storage of unknown type")
    if not isinstance(name, (str, int)):
        raise BrokenPickleError("a storage without a name")
    return StorageSpec(str(name), dtype, num_values)


def _candidates(value: Any, depth: int, seen: set[int]) -> Iterator[Found]:
    if id(value) in seen:  # a recursive table would be searched forever
        return
    seen.add(id(value))
    if isinstance(value, Record):
        tensors = dict(_module_tensors(value))
        if tensors:
            innermost = _unwrapped(value)
            yield Found(tensors, _plain_facts(_module_state(innermost)), _class_name(innermost))
    if isinstance(value, dict):
        plain = {key: _tensor(entry) for key, entry in value.items() if isinstance(key, str)}
        named = {key: tensor for key, tensor in plain.items() if tensor is not None}
        if named:
            yield Found(named)
        if depth < _DEEPEST_WRAPPING:
            for key in _WRAPPED_UNDER:
                yield from _candidates(value.get(key), depth + 1, seen)


def _module_tensors(module: Record) -> Iterator[tuple[str, TensorSpec]]:
    """A module's parameters and buffers by torch's names, without its class."""
    waiting = [("", module)]
    num_entries = 0
    for count in range(_MOST_MODULES + 1):
        if not waiting:
            return
        prefix, current = waiting.pop()
        state = _module_state(current)
        num_entries += sum(len(_dict(state.get(kind))) for kind in _MODULE_TABLES)
        is_endless = len(prefix) > _LONGEST_NAME or num_entries > _MOST_ENTRIES
        if count == _MOST_MODULES or is_endless:
            raise BrokenPickleError("a module that is too deep or contains itself")
        for kind in ("_parameters", "_buffers"):
            for name, value in _dict(state.get(kind)).items():
                tensor = _tensor(value)
                if tensor is not None:
                    yield f"{prefix}{name}", tensor
        for name, child in _dict(state.get("_modules")).items():
            if isinstance(child, Record):
                waiting.append((f"{prefix}{name}.", child))


def _module_state(module: Record) -> dict[Any, Any]:
    state = module.state
    return _dict(state[0] if isinstance(state, tuple) and state else state)


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _unwrapped(module: Record) -> Record:
    for _ in range(_DEEPEST_WRAPPING):
        inner = _dict(_module_state(module).get("_modules")).get("module")
        if not isinstance(inner, Record) or not (_class_name(module) or "").endswith("Parallel"):
            break
        module = inner
    return module


def _class_name(module: Record) -> str | None:
    origin = module.origin
    if isinstance(origin, Persistent):  # ("module", class, its file, its source)
        origin = origin.key[1] if isinstance(origin.key, tuple) and len(origin.key) > 1 else None
    if _called(module) == "__newobj__" and module.arguments:
        origin = module.arguments[0]
    return str(origin) if isinstance(origin, Name) else None


def _called(record: Record) -> str:
    return record.origin.name if isinstance(record.origin, Name) else ""


def _tensor(value: Any) -> TensorSpec | None:
    """The tensor that a record describes; None if it describes something else."""
    for _ in range(4):  # a parameter holds a tensor; a subclass wraps its call
        if not isinstance(value, Record) or not isinstance(value.arguments, tuple):
            return None
        name, arguments = _called(value), value.arguments
        if name in _REBUILD_TENSOR:
            return _tensor_spec(arguments)
        if name in _REBUILD_PARAMETER or name in ("Parameter", "Variable"):
            value = arguments[0] if arguments else None
        elif name == "__newobj__" and len(arguments) > 1:  # how torch 0.3 wrote parameters
            value = arguments[1]
        elif name == "_rebuild_from_type_v2" and len(arguments) > 2:
            value = Record(arguments[0], arguments[2])
        else:
            return None
    return None


def _tensor_spec(arguments: tuple[Any, ...]) -> TensorSpec:
    if len(arguments) < 4 or not isinstance(arguments[0], Persistent):
        raise BrokenPickleError("a tensor without a storage")
    storage = storage_spec(arguments[0])
    offset, shape, stride = arguments[1], _numbers(arguments[2]), _numbers(arguments[3])
    if storage is None or not isinstance(offset, int) or len(shape) != len(stride):
        raise BrokenPickleError("a tensor whose shape can't be read")
    if len(shape) > _MOST_AXES:
        raise BrokenPickleError("a tensor with too many axes")
    offset += _view_offset(arguments[0])
    reach = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    num_values = math.prod(shape)
    extremes = (offset, *shape, *stride)
    outside = min(extremes) < 0 or max(extremes) > 2**48 or num_values > storage.num_values
    if outside or (num_values and reach >= storage.num_values):
        raise BrokenPickleError("a tensor that reaches outside its storage")
    return TensorSpec(storage, offset, shape, stride)


def _view_offset(reference: Persistent) -> int:
    # In the legacy format a storage can be a view of another: (key, offset, size).
    view = reference.key[5] if len(reference.key) > 5 else None
    if view is None:
        return 0
    if not isinstance(view, tuple) or len(view) != 3 or not isinstance(view[1], int):
        raise BrokenPickleError("a storage view that can't be read")
    return view[1]


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, Record):  # torch.Size((2, 3))
        value = value.arguments[0] if value.arguments else ()
    if not isinstance(value, (tuple, list)) or not all(isinstance(part, int) for part in value):
        raise BrokenPickleError("a tensor whose shape can't be read")
    return tuple(value)


def _plain_facts(value: Any) -> dict[str, object]:
    """Numbers and short strings under plain keys, and lists of label names."""
    facts: dict[str, object] = {}
    for key, entry in _dict(value).items():
        if not isinstance(key, str) or key.startswith("_"):
            continue
        if isinstance(entry, (bool, int, float)) or (isinstance(entry, str) and len(entry) < 200):
            facts[key] = entry
        elif key in _LABEL_LISTS and _is_list_of_names(entry):
            facts[key] = tuple(entry)
    return facts


def _is_list_of_names(value: Any) -> bool:
    short = isinstance(value, (list, tuple)) and len(value) < 200
    return short and all(isinstance(name, str) for name in value)
