"""Maps against boxes, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Block, Table, Words
from core.document.values import count, interval, number, percent, rows, table, text


def localization_blocks(report: Mapping[str, Any]) -> list[Block]:
    """The share of maps whose peak is in a box, beside its controls, and what it means."""
    findings = {name: table(row) for name, row in table(report.get("findings")).items()}
    if not findings:
        return [Words(tuple(map(str, rows(report.get("warnings")))) or ("No box was measured.",))]
    controls = list(
        dict.fromkeys(key for row in findings.values() for key in table(row.get("controls")))
    )
    head = ("finding", "maps", "patients", "peak in box", "95 % interval", *map(_words, controls))
    lines = []
    for name, row in findings.items():
        of_map = table(row.get("map"))
        lines.append(
            (
                name,
                count(number(row.get("maps"))),
                count(number(row.get("patients"))),
                percent(number(of_map.get("pointing"))),
                _ends(of_map.get("pointing_ci")),
                *(
                    percent(number(table(table(row.get("controls")).get(key)).get("pointing")))
                    for key in controls
                ),
            )
        )
    note = (
        f"{text(report.get('method')) or 'Grad-CAM'} on boxed images of the test part. A map that "
        "doesn't beat its controls has shown nothing."
    )
    return [
        Table("Maps against boxes", head, tuple(lines), 1, (note,)),
        Words(
            (*map(str, rows(report.get("summary"))), *map(str, rows(report.get("warnings")))),
            is_list=True,
        ),
    ]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _ends(value: object) -> str:
    around = interval(value)
    return "–" if around is None else f"{100 * around[0]:.1f} to {100 * around[1]:.1f} %"
