"""The collections that are known, and which of them a table or a folder belongs to."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from core.data.collections.chexpert import CHEXPERT
from core.data.collections.collection import Collection, named_in
from core.data.collections.mimic_cxr import MIMIC_CXR
from core.data.collections.nih_experts import NIH_EXPERTS
from core.data.collections.padchest import PADCHEST
from core.data.collections.rsna import RSNA
from core.data.collections.siim import SIIM
from core.data.collections.vindr import VINDR
from core.data.tables.spreadsheet_text import separator_of
from core.data.tables.text_file import first_line

COLLECTIONS: tuple[Collection, ...] = (
    CHEXPERT,
    MIMIC_CXR,
    NIH_EXPERTS,
    PADCHEST,
    RSNA,
    SIIM,
    VINDR,
)
"""Asked in this order: a table that holds another's columns too comes first."""

_MOST_FOLDERS = 200


def collection_named(kind: str) -> Collection | None:
    """The collection of this kind; None for NIH's tables and one's own."""
    return next((known for known in COLLECTIONS if known.kind == kind), None)


def collection_of(header: Sequence[str]) -> Collection | None:
    """The collection whose tables have this header; None if it is no known one's."""
    return next((known for known in COLLECTIONS if header and known.recognises(header)), None)


def collection_in(folder: Path, kind: str | None = None) -> tuple[Collection, Path] | None:
    """The collection whose label table lies in a folder or right below it, and that table.

    Of several tables the one of the preferred name counts. Only first lines are read. With
    ``kind``, other collections' tables don't count.
    """
    for places in ([folder], _below(folder)):
        for known in COLLECTIONS:
            if kind not in (None, known.kind):
                continue
            named = (
                each
                for name in known.table_names
                for place in places
                for each in named_in(place, name)
            )
            for table in named:
                if known.recognises(header_of(table)):
                    return known, table
    return None


def header_of(table: Path) -> tuple[str, ...]:
    """The column names of a table, compressed or not; ('',) if it can't be read."""
    line = first_line(table)
    try:
        names = next(csv.reader([line], delimiter=separator_of(line)), [])
    except csv.Error:
        names = []
    return tuple(name.strip() for name in names) or ("",)


def _below(folder: Path) -> list[Path]:
    """The folders in a folder, the first of very many."""
    below: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(below) >= _MOST_FOLDERS:
                    break
                if not entry.name.startswith(".") and entry.is_dir():
                    below.append(Path(entry.path))
    except OSError:
        return []
    return sorted(below)
