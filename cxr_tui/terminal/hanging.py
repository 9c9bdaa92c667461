"""Wrap long lines with a hanging indent."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_tui.terminal.safe_text import visible

INDENT, _SHORTEST_LINE = "   ", 20


def hanging(text: Text, console: Console, width: int) -> Text:
    """The same lines; the rest of a long one continues indented."""
    lines: list[Text] = []
    for line in text.split("\n"):
        first, *others = line.wrap(console, max(_SHORTEST_LINE, width - len(INDENT) - 1))
        lines += [first, *(Text(INDENT, style=line.style).append(other) for other in others)]
    return Text("\n").join(lines)


def hanging_rows(pairs: Iterable[tuple[str, str]]) -> Table:
    """Each text beside its mark or name, also where it is continued."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for head, text in pairs:
        grid.add_row(Text(visible(head)), Text(visible(text)))
    return grid
