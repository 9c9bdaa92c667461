"""Wrap long lines with a hanging indent."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

INDENT, _SHORTEST_LINE = "   ", 20


def hanging(text: Text, console: Console, width: int) -> Text:
    """The same lines; the rest of a long one continues indented."""
    lines: list[Text] = []
    for line in text.split("\n"):
        first, *others = line.wrap(console, max(_SHORTEST_LINE, width - len(INDENT) - 1))
        lines += [first, *(Text(INDENT, style=line.style).append(other) for other in others)]
    return Text("\n").join(lines)
