"""The session's network on other data sets, beside its own test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Block, Table, Words
from core.document.facts import words_of
from core.document.values import count, ends, interval, number, rows, table, text, three
from core.errors import CxrError
from core.evaluation.external.kept import REPORT
from core.store.session import Session
from core.words import signed


def external_blocks(session: Session) -> list[Block]:
    """A table for each data set that was scored; [] if none was."""
    blocks: list[Block] = []
    for part in session.external_parts():
        name = part.partition("/")[2]
        try:
            report = session.read_json(f"{part}/{REPORT}")
        except CxrError as error:
            blocks.append(Words((f"{name}: {words_of(error)}",)))
            continue
        if report:
            blocks.append(_table(name, report))
    return blocks


def _table(name: str, report: Mapping[str, Any]) -> Table:
    head = ("finding", "positive images", "AUROC here", "95 % interval", "on own test",
            "difference", "95 % interval")  # fmt: skip
    lines = []
    for finding, value in table(report.get("findings")).items():
        row = table(value)
        difference = number(row.get("difference"))
        lines.append(
            (
                finding,
                count(number(row.get("positives"))),
                three(number(row.get("auroc"))),
                ends(interval(row.get("auroc_ci"))),
                three(number(row.get("internal"))),
                signed(difference),
                ends(interval(row.get("difference_ci"))).replace("-", "−"),
            )
        )
    title = (
        f"{name}: {text(report.get('label_table'))}, {count(number(report.get('images')))} images"
    )
    return Table(title, head, tuple(lines), 1, tuple(map(str, rows(report.get("warnings")))))
