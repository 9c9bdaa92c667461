"""Who is in each part: age, sex, view position and findings, as the first table of a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.study import Study
from core.data.tables.label_columns import LabelTable
from core.document.blocks import Table
from core.document.values import NONE, count, number, percent, table, with_share
from core.findings import PRESENT
from core.recipe import PARTS

_PARTS_TITLE = "Images and patients of each part"
_MOST_VIEWS = 6
_Rows = NDArray[np.int64]


def parts_table(study: Study) -> Table:
    """The table of a study that is at hand, with one column a part."""
    used = [part for part in PARTS if len(study.rows(part))]
    of_part = [study.rows(part) for part in used]
    labels = study.index.table
    rows: list[tuple[str, ...]] = [
        ("Images", *(f"{len(rows):,}" for rows in of_part)),
        ("Patients", *(f"{_patients(labels, rows):,}" for rows in of_part)),
        ("Images a patient, mean", *(_images_each(labels, rows) for rows in of_part)),
        *_age(labels, of_part),
        *_of_kinds("Sex, images", labels.sex_N, of_part, {"F": "female", "M": "male"}),
        *_of_kinds("View position, images", labels.view_N, of_part, {}),
        ("Findings: positive images (share of known labels) · positive patients",),
    ]
    for column, finding in enumerate(study.index.findings):
        rows.append((finding, *(_positives(study, rows, column) for rows in of_part)))
    notes = ["Ages, sexes and views are as the label table has them, counted by image."]
    if not labels.patients_are_known:
        notes.append("The table names no patients: each image counts as one.")
    return Table(_PARTS_TITLE, ("", *used), tuple(rows), notes=tuple(notes))


def recorded_parts_table(described: Mapping[str, Any], why: str) -> Table:
    """What the session itself recorded of its parts, if its data set can't be read any more."""
    parts = {name: table(part) for name, part in table(described.get("parts")).items()}
    findings = dict.fromkeys(
        finding for part in parts.values() for finding in table(part.get("findings"))
    )
    rows: list[tuple[str, ...]] = [
        (words, *(count(number(part.get(key))) for part in parts.values()))
        for words, key in (("Images", "images"), ("Patients", "patients"))
    ]
    rows.append(("Findings: positive images (share of known labels)",))
    for finding in findings:
        of_it = [table(table(part.get("findings")).get(finding)) for part in parts.values()]
        rows.append((finding, *(_recorded(one) for one in of_it)))
    note = f"Ages, sexes and views are left out: the data set can't be read here. {why}"
    return Table(_PARTS_TITLE, ("", *parts), tuple(rows), notes=(note,))


def _recorded(one: Mapping[str, Any]) -> str:
    positives, share = number(one.get("positives")), number(one.get("prevalence"))
    return NONE if positives is None else f"{count(positives)} ({percent(share)})"


def _patients(labels: LabelTable, rows: _Rows) -> int:
    return len(np.unique(labels.patients_N[rows]))


def _images_each(labels: LabelTable, rows: _Rows) -> str:
    return f"{len(rows) / max(1, _patients(labels, rows)):.1f}"


def _age(labels: LabelTable, of_part: Sequence[_Rows]) -> list[tuple[str, ...]]:
    ages_N = labels.age_years_N
    if ages_N is None:
        return [("Age", *("not in the table" for _ in of_part))]

    def cell(rows: _Rows) -> str:
        known = ages_N[rows][~np.isnan(ages_N[rows])]
        if not len(known):
            return NONE
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        return f"{middle:.0f} ({low:.0f} to {high:.0f})"

    unknown = [int(np.isnan(ages_N[rows]).sum()) for rows in of_part]
    lines = [("Age in years, median (quartiles)", *map(cell, of_part))]
    if any(unknown):
        shares = zip(unknown, of_part, strict=True)
        lines.append(("Age unknown", *(with_share(one, len(rows)) for one, rows in shares)))
    return lines


def _of_kinds(
    title: str,
    kinds_N: NDArray[np.object_] | None,
    of_part: Sequence[_Rows],
    words: Mapping[str, str],
) -> list[tuple[str, ...]]:
    if kinds_N is None:
        return [(title, *("not in the table" for _ in of_part))]
    everywhere = np.concatenate([kinds_N[rows] for rows in of_part]).astype(str)
    names, images = np.unique(everywhere, return_counts=True)
    by_number = names[np.argsort(-images, kind="stable")][:_MOST_VIEWS].tolist()
    ordered = [*(name for name in by_number if name), *(name for name in by_number if not name)]
    lines: list[tuple[str, ...]] = [(title,)]
    for name in ordered:
        cells = [with_share(int((kinds_N[rows] == name).sum()), len(rows)) for rows in of_part]
        lines.append((words.get(name, name) or "unknown", *cells))
    return lines


def _positives(study: Study, rows: _Rows, column: int) -> str:
    labels_N = study.index.labels_NF[rows, column]
    present_N = labels_N == PRESENT
    known = int((~np.isnan(labels_N)).sum())
    patients = len(np.unique(study.index.patients[rows][present_N]))
    return f"{with_share(int(present_N.sum()), known)} · {patients:,}"
