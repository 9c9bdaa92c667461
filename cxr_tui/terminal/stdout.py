"""Data on stdout: JSON objects and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cxr_tui.terminal.safe_text import visible, visible_json
from cxr_tui.terminal.streams import Outliving, stdout_is_unicode, written

_WIDTH_WITHOUT_TERMINAL = 100
_UNBOUNDED = 10_000


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, readable."""
    text = json.dumps(value, indent=1, ensure_ascii=not stdout_is_unicode(), allow_nan=False)
    with written():
        sys.stdout.write(visible_json(text) + "\n")
        sys.stdout.flush()


def print_json_line(line: str) -> None:
    """JSON that is text already; nothing in it can steer a terminal, and every stdout takes it."""
    if not (line.isascii() or stdout_is_unicode()):
        line = json.dumps(json.loads(line), allow_nan=False)
    sys.stdout.write(visible_json(line) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line on stderr, for a person."""
    Outliving(sys.stderr).write(visible(text) + "\n")


def print_table(
    title: str | None,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    notes: Sequence[str] = (),
    may_go: Sequence[str] = (),
) -> tuple[str, ...]:
    """A title, a table whose columns after the first ``left`` are right-aligned, and notes.

    Where the terminal is too narrow, columns of ``may_go`` are left out, the first of them first;
    their heads are returned.
    """
    console = stdout_console()
    if title:
        console.print(Text(visible(title)))
    rows, gone = list(rows), 0
    if head:
        table = _table(head, rows, left)
        while gone < len(may_go) and _natural_width(console, table) > console.width:
            gone += 1
            kept = [place for place, name in enumerate(head) if name not in may_go[:gone]]
            kept_rows = [[row[place] for place in kept] for row in rows]
            table = _table([head[place] for place in kept], kept_rows, left)
        console.print(table)
    if notes:
        console.print(_hanging(("·", note) for note in notes))
    return tuple(name for name in may_go[:gone] if name in head)


def _natural_width(console: Console, table: Table) -> int:
    unbounded = console.options.update(width=_UNBOUNDED, max_width=_UNBOUNDED)
    return Measurement.get(console, unbounded, table).maximum


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for position, name in enumerate(head):
        justify: JustifyMethod = "left" if position < left else "right"
        table.add_column(Text(visible(name)), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, a long value wrapped beside its name."""
    stdout_console().print(_hanging(pairs))


def _hanging(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for head, text in pairs:
        grid.add_row(Text(visible(head)), Text(visible(text)))
    return grid


def stderr_console() -> Console:
    """Rich on stderr, for as long as somebody reads it; its own ends the program then."""
    return Console(file=cast("TextIO", Outliving(sys.stderr)), highlight=False)


class _DataConsole(Console):
    """Rich on stdout; its own ends the program where the reader leaves, with exit code 1."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """As Rich does, with errors that say whose they are."""
        with written():
            super().print(*objects, **settings)

    def on_broken_pipe(self) -> None:
        """Let the program's door answer."""
        raise BrokenPipeError


def stdout_console() -> Console:
    """Rich on stdout; plain and of a fixed width where it is no terminal."""
    is_terminal = sys.stdout.isatty()
    return _DataConsole(
        file=sys.stdout, width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL, soft_wrap=False
    )
