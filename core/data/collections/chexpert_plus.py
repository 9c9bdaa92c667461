"""CheXpert Plus: a table with whole reports in its cells, and labels in lines of JSON beside it.

Source of the format: Stanford-AIMI/chexpert-plus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.collections.chexpert_rows import (
    FINDINGS,
    ages_and_sexes,
    parts_of_paths,
    views_in,
)
from core.data.collections.collection import ReadingSettings, Rows
from core.data.tables.label_columns import FileNames
from core.data.tables.states import ABSENT, BLANK, PRESENT, UNCERTAIN, UNKNOWN, States
from core.data.tables.text_file import Count, count_of, read_text
from core.data.tables.text_table import TextTable
from core.errors import DataError
from core.findings import NO_FINDING, canonical_finding, is_no_finding

_LABEL_FILES = ("impression_fixed.json", "report_fixed.json", "findings_fixed.json")
_STATE_OF = {None: BLANK, 1: PRESENT, 0: ABSENT, -1: UNCERTAIN}
_PARTS = ("train", "valid")


def recognises_plus(header: Sequence[str]) -> bool:
    """Whether a header is CheXpert Plus's."""
    return {"path_to_image", "deid_patient_id", "split"} <= set(header)


def read_plus(table: TextTable, settings: ReadingSettings) -> Rows:
    """The table's images, with the labels of the lines beside it where they fit.

    Raises:
        DataError: a path that is none of CheXpert's, an unknown part; or lines that can't be read,
            though all tables of the folder are to be read.
    """
    column = dict(zip(table.header, table.columns, strict=True))
    _, images, _, ends, studies, patients = parts_of_paths(table, column["path_to_image"])
    counts = list(table.counts)
    states_NA, notes, digests = _labels(table, images, counts, settings)
    ages_N, sexes_N = ages_and_sexes(column.get("age"), column.get("sex"), images, counts)
    return Rows(
        images=images,
        patients=patients,
        findings=FINDINGS,
        states_NA=states_NA,
        where=table.where,
        studies=studies,
        age_years_N=ages_N,
        sex_N=sexes_N,
        view_N=views_in(column.get("ap_pa"), column.get("frontal_lateral"), images),
        official_N=_official(table, column["split"]),
        # The table says .jpg; the files are PNG.
        files=FileNames(
            {end.rpartition(".")[0]: image for end, image in zip(ends, images, strict=True)}
        ),
        counts=tuple(counts),
        digests=digests,
        patients_of="chexpert",
        notes=notes,
    )


def _official(table: TextTable, cells: Sequence[str]) -> np.ndarray:
    for part in dict.fromkeys(cells):
        if part.strip() not in _PARTS:
            raise DataError(
                f"split is {part[:60]!r}, not {' or '.join(_PARTS)}",
                where=table.where(cells.index(part)),
                remedy="Correct the cell, or fetch the table again.",
            )
    return np.array([part.strip() for part in cells], dtype=object)


@dataclass(frozen=True)
class _Lines:
    path: Path
    digest: str
    states_of: Mapping[str, Sequence[int]]


def _labels(
    table: TextTable, images: Sequence[str], counts: list[Count], settings: ReadingSettings
) -> tuple[States, tuple[str, ...], dict[str, str]]:
    """States from the first file of lines that fits; all unknown without one."""
    lines = _lines_beside(table.path.parent, set(images), counts, settings)
    unknown = (UNKNOWN,) * len(FINDINGS)
    if lines is None:
        states_NA = np.full((len(images), len(FINDINGS)), UNKNOWN, dtype=np.int8)
        named = " or ".join(f"chexbert_labels/{name}" for name in _LABEL_FILES)
        return states_NA, (f"No labels are beside ({named}): each finding is unknown.",), {}
    missing = [image for image in images if image not in lines.states_of]
    if missing:
        reason = f"image that {lines.path.name} does not label: unknown in every finding"
        counts.append(count_of(reason, missing))
    states_NA = np.array([lines.states_of.get(image, unknown) for image in images], dtype=np.int8)
    note = f"Labels are CheXbert's, from {lines.path.parent.name}/{lines.path.name}."
    return states_NA, (note,), {lines.path.stem: lines.digest}


def _lines_beside(
    folder: Path, images: set[str], counts: list[Count], settings: ReadingSettings
) -> _Lines | None:
    for name in _LABEL_FILES:
        for path in (folder / "chexbert_labels" / name, folder / name):
            if not path.is_file():
                continue
            try:
                lines = _read_lines(path)
                if images.isdisjoint(lines.states_of):
                    raise DataError("it has no image of the table", where=path)
            except DataError as error:
                if settings.with_others:
                    raise
                line = (error.where or "").rpartition(" line ")
                place = f" (line {line[2]})" if line[0] else ""
                counts.append(Count(f"{name} is not joined: {error.what}{place}", 0))
                continue
            return lines
    return None


def _read_lines(path: Path) -> _Lines:
    """The states by image of a file with one JSON object a line.

    Raises:
        DataError: a line that is none, or a label other than 1, 0, -1 and null.
    """
    file = read_text(path)
    states_of: dict[str, Sequence[int]] = {}
    for number, line in enumerate(file.lines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            image = entry.pop("path_to_image")
            by_finding = {_finding(name): _STATE_OF[value] for name, value in entry.items()}
            states = [by_finding[finding] for finding in FINDINGS]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                "the line is no object of path_to_image and 14 labels of 1, 0, -1 or null",
                where=f"{path} line {number}",
                remedy="Fetch the file again.",
            ) from error
        if states_of.setdefault(image, states) != states:
            raise DataError(
                f"{image!r} is labelled twice, and otherwise",
                where=f"{path} line {number}",
                why="Only one of the lines can be right",
                remedy="Fetch the file again.",
            )
    return _Lines(path, file.digest, states_of)


def _finding(name: str) -> str:
    return NO_FINDING if is_no_finding(name) else canonical_finding(name) or name
