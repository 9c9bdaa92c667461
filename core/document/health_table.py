"""What health said of a session: during its runs, and of its figures."""

from __future__ import annotations

from core.document.blocks import Block, Table, Words
from core.document.facts import Facts
from core.document.values import rows, table, text

_MARKS = {"ok": "✓ ok", "note": "note", "warning": "warning", "stop": "stop"}


def health_blocks(facts: Facts) -> list[Block]:
    """The current answers, the gravest first, then the warnings of the runs and of the figures."""
    answers = facts.history.answers.in_order().values()
    told = [
        (_MARKS.get(answer.severity, answer.severity), answer.check, answer.text, answer.remedy)
        for answer in answers
    ]
    of_figures = [
        (
            _MARKS.get(text(one.get("severity")), text(one.get("severity"))),
            *(text(one.get(key)) for key in ("check", "text", "remedy")),
        )
        for one in map(table, rows(facts.report.get("health")))
    ]
    blocks: list[Block] = []
    if told or of_figures:
        head = ("severity", "check", "what it found", "what to do")
        blocks.append(Table("Health checks", head, (*told, *of_figures), left=4))
    warnings = dict.fromkeys([*facts.figures.warnings, *facts.history.warnings])
    if warnings:
        blocks.append(Words(tuple(warnings), "Warnings", is_list=True))
    return blocks or [Words(("No health check was made, and nothing was warned of.",))]
