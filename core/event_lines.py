"""Events as lines of JSON, from files that may be torn, damaged or of another version."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from core.errors import DataError
from core.events import Evaluated, Event
from core.report_shape import PartReport

_LATEST_SECONDS = 2.5e11
_MOST_COUNTED = 10**15
_MOST_FINDINGS = 100
_LONGEST_TEXT = 10_000
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


def event_line(event: Event) -> str:
    """The event as one line of JSON; a non-finite number is written as text, such as "nan"."""
    fields = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
    return json.dumps(
        {"event": type(event).__name__, **_plain(fields)}, allow_nan=False, ensure_ascii=False
    )


def event_of_line(line: str) -> Event | None:
    """The event of a line, or None if this version doesn't know its kind.

    Raises:
        DataError: the line is not an event (for example a torn last line).
    """
    try:
        fields = _json_of(line)
        name = fields.pop("event")
        if not isinstance(name, str):
            raise TypeError(f"expected the name of an event, got {name!r}")
        kind = _KINDS.get(name)
        if kind is None:
            return None
        known = _field_types(kind)
        event = kind(
            **{key: _typed(value, known[key]) for key, value in fields.items() if key in known}
        )
        _refuse_what_cannot_be(event)
        return event
    except (
        *(ValueError, TypeError, KeyError, AttributeError),
        *(RecursionError, OverflowError),
    ) as error:
        raise DataError(f"is not an event ({str(error)[:200]})", where=line[:80]) from None


def _json_of(line: str) -> Any:
    fields = json.loads(line)
    if "\\ud" in line or "\\uD" in line:
        # An escaped lone surrogate could be neither displayed nor written again.
        whole = json.dumps(fields, ensure_ascii=False).encode(errors="replace").decode()
        fields = json.loads(whole)
    return fields


def _refuse_what_cannot_be(event: Event) -> None:
    """Raises ValueError for a time before 1970 or after 9999, or an invalid report."""
    if not 0 <= event.time <= _LATEST_SECONDS:
        raise ValueError(f"not a valid time: {event.time:g}")
    if isinstance(event, Evaluated):
        try:
            PartReport.of(event.report)
        except ValueError as fault:
            raise ValueError(f"not a valid report: {fault}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _field_types(kind: type[Event]) -> dict[str, Any]:
    if kind not in _FIELD_TYPES:
        _FIELD_TYPES[kind] = typing.get_type_hints(kind)
    return _FIELD_TYPES[kind]


_FIELD_TYPES: dict[type[Event], dict[str, Any]] = {}


def _typed(value: Any, annotation: Any) -> Any:
    """Convert the JSON value to the field's type; a wrong type is refused."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(value, next(item for item in arguments if item is not type(None)))
    if annotation is float:
        return float(value)
    if origin is tuple:
        if len(value) > _MOST_FINDINGS:
            raise ValueError(f"{len(value):,} findings are too many")
        return tuple(_typed(item, arguments[0]) for item in value)
    if origin is Mapping:
        return {key: _typed(item, arguments[1]) for key, item in value.items()}
    if annotation is int and isinstance(value, int) and not 0 <= value <= _MOST_COUNTED:
        raise ValueError(f"expected a count, got {value:.3g}")
    if annotation is str and isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}…"
    if annotation is Any or (isinstance(value, annotation) and not isinstance(value, bool)):
        return value
    if annotation is bool and isinstance(value, bool):
        return value
    raise TypeError(f"expected {annotation.__name__}, got {value!r}")
