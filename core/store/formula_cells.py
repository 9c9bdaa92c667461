"""Cells of CSV files that no spreadsheet takes for a formula, and what they were before.

A file name or a patient's id comes from other people's tables, and ``=HYPERLINK(…)`` is one
that a file may bear. An apostrophe before it says that it is text; readers of ours take it
away again, so that names still match.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""With apostrophes in front it would be changed on its way back: it gets one more."""


def escape_formula(text: str) -> str:
    """Text that a spreadsheet would take for a formula is marked as text."""
    return f"'{text}" if _FORMULA.match(text) else text


def original(cell: str) -> str:
    """The text that ``escape_formula`` wrote as this cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
