"""Rows of several tables of one collection, one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from core.data.collections.collection import Rows
from core.data.tables.label_columns import FileNames
from core.data.tables.text_file import Count
from core.data.tables.text_table import TextTable
from core.errors import DataError

_MISSING: dict[str, Any] = {
    "age_years_N": np.nan,
    "sex_N": "",
    "view_N": "unknown",
    "official_N": "",
}


def stacked(read: Sequence[Rows], tables: Sequence[TextTable]) -> Rows:
    """The rows of several tables, in the first one's order of findings.

    Raises:
        DataError: a table lacks findings of the first.
    """
    findings = read[0].findings
    for rows, table in zip(read, tables, strict=True):
        lacking = set(findings) - set(rows.findings)
        if lacking:
            raise DataError(
                f"lacks {', '.join(sorted(lacking))}, which {tables[0].path.name} has",
                where=table.path,
                why="Tables of two editions may have been put into one folder",
                remedy=f"Fetch both again, or name one: dataset.labels={tables[0].path}",
            )
    order = [[rows.findings.index(name) for name in findings] for rows in read]
    starts = np.cumsum([0, *(len(rows.images) for rows in read)])

    def where(row: int) -> str:
        which = int(np.searchsorted(starts, row, side="right")) - 1
        return read[which].where(row - int(starts[which]))

    return Rows(
        images=list(chain.from_iterable(rows.images for rows in read)),
        patients=_joined([rows.patients for rows in read]),
        findings=findings,
        states_NA=np.concatenate(
            [rows.states_NA[:, places] for rows, places in zip(read, order, strict=True)]
        ),
        where=where,
        studies=_joined([rows.studies for rows in read]),
        train_shares_NA=_shares(read, order),
        files=FileNames(
            {end: key for rows in read if rows.files for end, key in rows.files.key_of.items()}
        ),
        counts=_summed(chain.from_iterable(rows.counts for rows in read)),
        digests={table.path.stem: table.digest for table in tables[1:]},
        patients_of=read[0].patients_of,
        notes=tuple(dict.fromkeys(chain.from_iterable(rows.notes for rows in read))),
        **{name: _column(read, name, missing) for name, missing in _MISSING.items()},
    )


def _joined(texts: Sequence[Sequence[str] | None]) -> list[str] | None:
    if any(text is None for text in texts):
        return None
    return list(chain.from_iterable(text for text in texts if text is not None))


def _column(read: Sequence[Rows], name: str, missing: object) -> np.ndarray | None:
    """A column of all rows; tables that lack it are filled up. None if all do."""
    there = [getattr(rows, name) for rows in read]
    dtype = next((values.dtype for values in there if values is not None), None)
    if dtype is None:
        return None
    return np.concatenate(
        [
            np.full(len(rows.images), missing, dtype=dtype) if values is None else values
            for rows, values in zip(read, there, strict=True)
        ]
    )


def _shares(read: Sequence[Rows], order: Sequence[list[int]]) -> np.ndarray | None:
    if all(rows.train_shares_NA is None for rows in read):
        return None
    return np.concatenate(
        [
            np.full((len(rows.images), len(places)), np.nan, dtype=np.float32)
            if rows.train_shares_NA is None
            else rows.train_shares_NA[:, places]
            for rows, places in zip(read, order, strict=True)
        ]
    )


def _summed(counts: Iterable[Count]) -> tuple[Count, ...]:
    total: dict[str, Count] = {}
    for count in counts:
        before = total.get(count.reason, Count(count.reason, 0))
        examples = (*before.examples, *count.examples)[:3]
        total[count.reason] = Count(count.reason, before.images + count.images, examples)
    return tuple(total.values())
