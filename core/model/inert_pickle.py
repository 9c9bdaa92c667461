"""Follow a pickle's opcodes without running it.

``pickletools.genops`` only decodes opcodes and their arguments. What they would import or call
becomes an inert :class:`Name` or :class:`Record`, so a hostile pickle results in a strange record
and nothing else.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, cast

from core.model.pickle_bounds import MAX_OPCODES, BrokenPickleError, KeyBounds, memo_place

__all__ = ["BrokenPickleError", "Followed", "Name", "Persistent", "Record", "follow"]


@dataclass(frozen=True)
class Name:
    """Something the pickle would import, such as ``torch.nn.modules.conv.Conv2d``."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False)
class Persistent:
    """A reference to something stored outside the pickle: torch's storages, as a tuple."""

    key: Any


@dataclass(eq=False)
class Record:
    """A call or an object that was not created.

    Attributes:
        origin: the :class:`Name` that would have been called, or another value in its place.
        arguments: the arguments of the call.
        state: the state that the object would have got.
        entries: items that would have been set by key.
        elements: items that would have been appended.
    """

    origin: Any
    arguments: Any
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Followed:
    """The value of a pickle, and its references to storages outside it."""

    value: Any
    persistent: tuple[Persistent, ...]


_MARK = object()
_KEY_TYPES = (str, int, float, bytes, type(None), Name, Record)
_ORDERED_DICTS = {Name("collections", "OrderedDict"), Name("collections", "defaultdict")}


def follow(stream: IO[bytes] | mmap.mmap) -> Followed:
    """Follow one pickle from the stream's position to its end.

    The value is made of plain values and containers (a set becomes a list), :class:`Name`,
    :class:`Persistent` and :class:`Record`. It may be recursive.

    Raises:
        BrokenPickleError: truncated, malformed, or too long.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
            if count > MAX_OPCODES:
                raise BrokenPickleError("the pickle is too long")
            machine.step(opcode.name, argument)
        return Followed(machine.result(), tuple(machine.persistent))
    except BrokenPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BrokenPickleError(f"a malformed pickle: {str(error)[:200]}") from error


class _Machine:
    """The stack, the memo, and the effect of each opcode on them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.persistent: list[Persistent] = []
        self.key_bounds = KeyBounds()

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHED_ARGUMENT:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _NOTHING_TO_DO:
            raise BrokenPickleError(f"an opcode that no checkpoint uses ({name})")

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise BrokenPickleError("a malformed pickle: its stack doesn't end with one value")
        return self.stack[0]

    def since_mark(self) -> list[Any]:
        """Pop everything above the topmost mark, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        raise BrokenPickleError("a malformed pickle: a mark is missing")

    def pop(self) -> Any:
        return self.stack.pop()

    def put(self, place: int) -> None:
        self.memo[memo_place(place)] = self.stack[-1]

    def refer(self, key: Any) -> None:
        self.persistent.append(Persistent(key))
        self.stack.append(self.persistent[-1])

    def record(self, origin: Any, arguments: Any) -> None:
        if isinstance(origin, Name) and origin in _ORDERED_DICTS:
            self.stack.append(_as_dict(self, arguments))
        else:
            self.stack.append(Record(origin, arguments))


def _as_dict(machine: _Machine, arguments: Any) -> dict[Any, Any]:
    # Python 2 wrote OrderedDict([[key, value], ...]); Python 3 creates it empty, then fills it.
    pairs = arguments[-1] if arguments else []
    entries: dict[Any, Any] = {}
    if isinstance(pairs, list):
        for pair in pairs:  # one by one: the same list may be in a thousand dictionaries
            _add_entries(machine, entries, pair[:2])
    return entries


def _add_entries(machine: _Machine, target: Any, flat: Sequence[Any]) -> None:
    entries = target if isinstance(target, dict) else _record(target).entries
    for place in range(0, len(flat) - 1, 2):
        key = flat[place]
        machine.key_bounds.count(key)
        parts = key if isinstance(key, tuple) else (key,)
        # Hashing a tuple nested a million deep would crash this program.
        if not all(isinstance(part, _KEY_TYPES) for part in parts):
            raise BrokenPickleError("a dictionary key that no checkpoint uses")
        entries[key] = flat[place + 1]


def _add_elements(target: Any, elements: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(elements)
    else:
        _record(target).elements.extend(elements)


def _record(target: Any) -> Record:
    if not isinstance(target, Record):
        raise BrokenPickleError(f"a malformed pickle: an item is added to a {type(target)}")
    return target


def _build(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    target = machine.stack[-1]
    if isinstance(target, Record):
        target.state = state  # a dict's state is torch's version table, which isn't needed


def _call(machine: _Machine, _: Any) -> None:
    arguments = machine.pop()
    machine.record(machine.pop(), arguments)


def _call_with_keywords(machine: _Machine, _: Any) -> None:
    keywords, arguments, origin = machine.pop(), machine.pop(), machine.pop()
    machine.record(origin, (*arguments, keywords))


def _instance(machine: _Machine, argument: Any) -> None:
    arguments = machine.since_mark()
    origin = Name(*argument.split(" ", 1)) if argument else arguments.pop(0)
    machine.record(origin, tuple(arguments))


def _name_from_stack(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    # Not str(), which could be endless for nested tuples.
    if not isinstance(name, str) or not isinstance(module, str):
        raise BrokenPickleError("a malformed pickle: a name that is not text")
    machine.stack.append(Name(module, name))


def _tuple_of(length: int) -> Callable[[_Machine, Any], None]:
    def action(machine: _Machine, _: Any) -> None:
        if len(machine.stack) < length:
            raise BrokenPickleError("a malformed pickle: its stack is empty")
        taken = tuple(machine.stack[-length:])
        del machine.stack[-length:]
        machine.stack.append(taken)

    return action


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _add_entries(machine, machine.stack[-1], [key, value])


def _append(machine: _Machine, _: Any) -> None:
    element = machine.pop()
    _add_elements(machine.stack[-1], [element])


def _set_items(machine: _Machine, _: Any) -> None:
    flat = machine.since_mark()
    _add_entries(machine, machine.stack[-1], flat)


def _append_many(machine: _Machine, _: Any) -> None:
    elements = machine.since_mark()
    _add_elements(machine.stack[-1], elements)


def _dict_since_mark(machine: _Machine, _: Any) -> None:
    flat = machine.since_mark()
    machine.stack.append({})
    _add_entries(machine, machine.stack[-1], flat)


_PUSHED_ARGUMENT = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
    | {"BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
    "MARK": lambda: _MARK,
}
_NOTHING_TO_DO = frozenset({"PROTO", "FRAME", "STOP"})
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "POP": lambda machine, _: machine.stack.__delitem__(-1),
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": lambda machine, place: machine.put(int(place)),
    "BINPUT": lambda machine, place: machine.put(place),
    "LONG_BINPUT": lambda machine, place: machine.put(place),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": lambda machine, place: machine.stack.append(machine.memo[int(place)]),
    "BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "GLOBAL": lambda machine, name: machine.stack.append(Name(*name.split(" ", 1))),
    "STACK_GLOBAL": _name_from_stack,
    "PERSID": lambda machine, key: machine.refer(key),
    "BINPERSID": lambda machine, _: machine.refer(machine.pop()),
    "REDUCE": _call,
    "NEWOBJ": _call,
    "NEWOBJ_EX": _call_with_keywords,
    "INST": _instance,
    "OBJ": _instance,
    "BUILD": _build,
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": _dict_since_mark,
    "FROZENSET": lambda machine, _: machine.stack.append(machine.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _append_many,
    "ADDITEMS": _append_many,
}
