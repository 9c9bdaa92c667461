"""Names of the map methods; imports no torch."""

from __future__ import annotations

from typing import Literal

from core.errors import UsageError
from core.findings import did_you_mean

Method = Literal["grad-cam", "grad-cam++", "layer-cam", "cam"]
METHODS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "layer-cam", "cam")


def method_named(name: str) -> Method:
    """Check a method's name.

    Raises:
        UsageError: there is no such method.
    """
    for method in METHODS:
        if method == name:
            return method
    remedy = did_you_mean(name, METHODS) or f"Methods are: {', '.join(METHODS)}."
    raise UsageError(f"unknown method {name!r}", where="--method", remedy=remedy)
