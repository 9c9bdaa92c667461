"""A report's tables alone, in Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from core.document.blocks import Section, Table
from core.document.plain_text import printable

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "–": "--",
    "×": r"$\times$",
    "−": r"$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "·": r"$\cdot$",
    "…": r"\ldots{}",
    "✓": "",
    "Δ": r"$\Delta$",
}

# In letters of \small in article's own margins.
_LINE_LETTERS, _GAP_LETTERS, _PROSE_LETTERS = 72, 2, 30
_NO_WIDER = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def tables_of(sections: Iterable[Section]) -> list[Table]:
    """The tables, in order."""
    return [block for section in sections for block in section.blocks if isinstance(block, Table)]


def markdown_of(tables: Sequence[Table], title: str) -> str:
    """The tables as a Markdown document."""
    lines = [f"# {_markdown(title)}", ""]
    for table in tables:
        lines += [f"## {_markdown(table.title)}", ""]
        lines.append(_row(table.head))
        aligned = ["---" if at < table.left else "---:" for at in range(len(table.head))]
        lines.append(f"|{'|'.join(aligned)}|")
        lines += [_row([*row, *[""] * (len(table.head) - len(row))]) for row in table.rows]
        lines += ["", *(f"- {_markdown(note)}" for note in table.notes)]
        lines += [""] if table.notes else []
    return "\n".join(lines)


def latex_of(tables: Sequence[Table], title: str) -> str:
    r"""The tables as LaTeX environments, each as wide as a page at most; read by ``\input``."""
    lines = [f"% {printable(title)}", r"% needs \usepackage{array,booktabs,graphicx}", ""]
    for table in tables:
        columns, shrinks = _latex_columns(table)
        lines += [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_latex(table.title)}}}",
            *([_NO_WIDER] if shrinks else []),
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_latex, table.head)) + r" \\",
            r"\midrule",
            *(_latex_row(row, len(table.head)) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}" + ("}" if shrinks else ""),
            *(rf"\par\footnotesize {_latex(note)}" for note in table.notes),
            r"\end{table}",
            "",
        ]
    return "\n".join(lines)


def _latex_columns(table: Table) -> tuple[str, bool]:
    """How the columns are set, and whether the whole shrinks to the width of the text.

    Columns of prose break into lines; a table of figures alone is drawn smaller where it must be.
    """
    whole = [row for row in (table.head, *table.rows) if len(row) > 1]
    widths = [
        max((len(row[at]) for row in whole if at < len(row)), default=0)
        for at in range(len(table.head))
    ]
    kinds = ["l" if at < table.left else "r" for at in range(len(widths))]
    prose = [at for at in range(table.left) if widths[at] > _PROSE_LETTERS]
    room = _LINE_LETTERS - sum(
        _GAP_LETTERS + (0 if at in prose else width) for at, width in enumerate(widths)
    )
    if not prose or sum(widths[at] for at in prose) <= room:
        return "".join(kinds), True
    # Each has room for its longest word. A column ten times as long as another gets three times
    # what is left, so that both stay readable.
    weights = {at: math.sqrt(widths[at]) for at in prose}
    words = {at: max((len(w) for row in whole if at < len(row) for w in row[at].split()), default=0)
             for at in prose}  # fmt: skip
    left = max(room - sum(words.values()), 0) / sum(weights.values())
    for at, weight in weights.items():
        share = (words[at] + left * weight) / _LINE_LETTERS
        kinds[at] = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
    return "".join(kinds), False


def _latex_row(row: Sequence[str], columns: int) -> str:
    if len(row) == 1:
        return rf"\multicolumn{{{columns}}}{{l}}{{\textbf{{{_latex(row[0])}}}}} \\"
    return " & ".join(map(_latex, row)) + r" \\"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _markdown(text: str) -> str:
    """Text that is no markup: a name may hold a bar, a tag or an underscore."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", printable(text))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
