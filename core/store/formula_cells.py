"""Escape CSV cells that a spreadsheet would run as formulas, and unescape them.

File names and patient ids come from other people's tables, and ``=HYPERLINK(…)`` is a valid file
name. An apostrophe in front marks it as text; our readers remove it, so that names match.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Text that begins with apostrophes would lose one when read: it gets one more."""


def escape_formula(text: str) -> str:
    """Mark as text what a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def original(cell: str) -> str:
    """The text that ``escape_formula`` wrote as this cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
