"""A report's tables alone, in Markdown and LaTeX."""

from __future__ import annotations

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
    r"""The tables as LaTeX environments for the package booktabs; to be read by ``\input``."""
    lines = [f"% {printable(title)}", r"% needs \usepackage{booktabs}", ""]
    for table in tables:
        columns = "l" * table.left + "r" * (len(table.head) - table.left)
        lines += [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_latex, table.head)) + r" \\",
            r"\midrule",
        ]
        for row in table.rows:
            if len(row) == 1:
                lines.append(
                    rf"\multicolumn{{{len(table.head)}}}{{l}}{{\textbf{{{_latex(row[0])}}}}} \\"
                )
            else:
                lines.append(" & ".join(map(_latex, row)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {_latex(note)}" for note in table.notes]
        lines += [r"\end{table}", ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _markdown(text: str) -> str:
    """Text that is no markup: a name may hold a bar, a tag or an underscore."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", printable(text))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
