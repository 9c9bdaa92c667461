"""Values of a DICOM header: numbers and words that other people's software wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


def first_number(header: Dataset, keyword: str) -> float | None:
    """The first value of an element as a finite number; None if it is missing or is none."""
    with suppress(ValueError, TypeError, OverflowError, ArithmeticError):
        number = float(_first(header.get(keyword)))
        return number if math.isfinite(number) else None
    return None


def whole_number(header: Dataset, keyword: str, otherwise: int) -> int:
    """The first value of an element as a whole number; ``otherwise`` if it is empty or missing.

    Raises:
        ValueError: it is something else.
    """
    value = _first(header.get(keyword))
    return otherwise if value is None or value == "" else int(value)


def whole_numbers(value: Any, is_little: bool) -> list[int]:
    """16-bit numbers, which are bytes where the value representation is not known."""
    if isinstance(value, bytes | bytearray):
        order = "<" if is_little else ">"
        return list(map(int, np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2")))
    if value is None:
        return []
    each = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [int(number) for number in each]


def word(header: Dataset, keyword: str) -> str:
    """The first value of an element in capitals, without blanks around it; '' without one."""
    value = _first(header.get(keyword))
    return "" if value is None else str(value).strip("\0 \t\r\n").upper()


def _first(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return value[0] if len(value) else None
    return value
