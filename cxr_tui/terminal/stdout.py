"""Data on stdout: JSON objects and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cxr_tui.terminal.hanging import hanging_rows
from cxr_tui.terminal.safe_text import visible, visible_json
from cxr_tui.terminal.streams import Outliving, stdout_is_unicode, written

_WIDTH_WITHOUT_TERMINAL = 100


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, indented."""
    text = json.dumps(value, indent=1, ensure_ascii=not stdout_is_unicode(), allow_nan=False)
    with written():
        sys.stdout.write(visible_json(text) + "\n")
        sys.stdout.flush()


def print_text(text: str) -> None:
    """Print our own text unchanged, such as a file's content."""
    with written():
        sys.stdout.write(text)
        sys.stdout.flush()


def print_json_line(line: str) -> None:
    """Print a line of JSON, made safe for terminals and any encoding."""
    if not (line.isascii() or stdout_is_unicode()):
        line = json.dumps(json.loads(line), allow_nan=False)
    sys.stdout.write(visible_json(line) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line for the user to stderr."""
    Outliving(sys.stderr).write(visible(text) + "\n")


def print_table(
    title: str | None,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    notes: Sequence[str] = (),
) -> None:
    """Print a title, a table with columns after the first ``left`` right-aligned, and notes."""
    console = stdout_console()
    if title:
        console.print(Text(visible(title)))
    if head:
        console.print(_table(head, rows, left))
    if notes:
        console.print(hanging_rows(("·", note) for note in notes))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for position, name in enumerate(head):
        justify: JustifyMethod = "left" if position < left else "right"
        table.add_column(Text(visible(name)), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, with long values wrapped next to the name."""
    stdout_console().print(hanging_rows(pairs))


def stderr_console() -> Console:
    """Rich on stderr; unlike Rich's own, it doesn't end the program when the reader closes."""
    return Console(file=cast("TextIO", Outliving(sys.stderr)), highlight=False)


class _DataConsole(Console):
    """Rich on stdout; Rich's own would exit with code 1 when the reader closes."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as Rich does, with errors that name stdout."""
        with written():
            super().print(*objects, **settings)

    def on_broken_pipe(self) -> None:
        """Let ``cli`` handle the error."""
        raise BrokenPipeError


def stdout_console() -> Console:
    """Rich on stdout; plain and of a fixed width if it isn't a terminal."""
    is_terminal = sys.stdout.isatty()
    return _DataConsole(
        file=sys.stdout, width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL, soft_wrap=False
    )
