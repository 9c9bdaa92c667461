"""Words that depend on a number."""

from __future__ import annotations


def number_of(number: int, noun: str) -> str:
    """``1 image``, ``0 images``, ``1,024 images``; the noun's plural ends in an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def patients_of(number: int | None) -> str:
    """Such as ``18 patients``; None: the table names none."""
    return "unknown patients" if number is None else number_of(number, "patient")


def signed(value: float | None, decimals: int = 3) -> str:
    """Such as ``+0.012`` or ``−0.012``, whose signs are equally wide; a dash for None."""
    return "–" if value is None else f"{value:+.{decimals}f}".replace("-", "−")
