"""Data on stdout: JSON objects and tables."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cxr_tui.plain import visible

_WIDTH_WITHOUT_TERMINAL = 100


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, readable."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    # A folder's name may be no text in any encoding; JSON is always UTF-8.
    text = text.encode(errors="replace").decode()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(
    title: str | None,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    notes: Sequence[str] = (),
) -> None:
    """A title, a table whose columns after the first ``left`` are right-aligned, and notes."""
    console = stdout_console()
    if title:
        console.print(Text(visible(title)))
    if head:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
        for position, name in enumerate(head):
            justify: JustifyMethod = "left" if position < left else "right"
            table.add_column(Text(name), justify=justify, no_wrap=True)
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        console.print(table)
    if notes:
        console.print(_hanging(("·", note) for note in notes))


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, a long value wrapped beside its name."""
    stdout_console().print(_hanging(pairs))


def _hanging(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for head, text in pairs:
        grid.add_row(Text(head), Text(visible(text)))
    return grid


def silence(stream: TextIO) -> None:
    """What is still written to a stream that nobody reads any more goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class OutlivingConsole(Console):
    """Rich on stderr that outlives whoever read it; Rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        """Go on without a reader."""
        if sys.stderr is not None:
            silence(sys.stderr)


def stderr_console() -> Console:
    """Rich on stderr; on nothing where stderr is closed."""
    if sys.stderr is None:
        return Console(file=io.StringIO(), highlight=False)
    return OutlivingConsole(stderr=True, highlight=False)


def stdout_console() -> Console:
    """Rich on stdout; plain and of a fixed width where it is no terminal."""
    is_terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout, width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL, soft_wrap=False
    )
