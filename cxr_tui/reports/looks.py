"""How often a test part has been looked at, in words."""

from __future__ import annotations

from core.words import number_of


def looks_words(times: int, sources: int, warning: str | None) -> list[str]:
    """The count, and why this look is missing from it."""
    lines = []
    if times:
        often = "once" if times == 1 else f"{times:,} times"
        by = number_of(sources, "session")
        lines.append(f"this test part has been looked at {often} by {by} (looks.jsonl)")
    return lines + ([warning] if warning else [])
