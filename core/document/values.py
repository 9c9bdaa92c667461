"""Values from a session's JSON files, which others may have written: wrong ones count as none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "–"
"""What stands in a cell without a value."""


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def interval(value: object) -> tuple[float, float] | None:
    """Two finite numbers, or None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def table(value: object) -> Mapping[str, Any]:
    """A JSON object; empty if it is something else."""
    return value if isinstance(value, Mapping) else {}


def rows(value: object) -> Sequence[Any]:
    """A JSON list; empty if it is something else."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """A text, or an empty one."""
    return value if isinstance(value, str) else ""


def three(value: float | None) -> str:
    """Such as ``0.921``."""
    return NONE if value is None else f"{value:.3f}"


def ends(value: tuple[float, float] | None) -> str:
    """An interval such as ``0.903 to 0.937``."""
    return NONE if value is None else f"{value[0]:.3f} to {value[1]:.3f}"


def percent(value: float | None) -> str:
    """Such as ``18.1 %``."""
    return NONE if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """Such as ``1,031``."""
    return NONE if value is None else f"{value:,.0f}"


def with_share(part: int, whole: int) -> str:
    """Such as ``189 (18.3 %)``."""
    return f"{part:,}" + (f" ({100 * part / whole:.1f} %)" if whole else "")


def duration(seconds: float | None) -> str:
    """Such as ``14 s``, ``3 min 47 s``, ``4 h 41 min``."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
