"""Several data sets as one: their rows side by side, each image remembering its source.

An image's name is ``<source>/<key>``; a finding is unknown where a source has no labels of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.tables.label_columns import LabelTable
from core.data.tables.states import UNKNOWN
from core.data.tables.text_file import Count
from core.errors import DataError
from core.recipe import Recipe

TOGETHER = "together"
"""The kind of a table that holds several data sets' rows."""

OF_NIH = "nih"
_NAMED_FROM, _NAMED_SPAN = 1 << 52, 1 << 52
IMAGES_OF_NIH = frozenset({"nih", "rsna", "siim", "nih-experts"})
"""Collections whose images are NIH's."""


def table_of(tables: Mapping[str, LabelTable], wanted: Sequence[str]) -> LabelTable:
    """The rows of all sources in one table.

    Args:
        tables: source -> its table.
        wanted: findings to learn; at least one source must have each.

    Raises:
        DataError: no source has a wanted finding; two sources share NIH's images, and which
            patients one of them shows is unknown.
    """
    _refuse_unknown_overlap(tables)
    every = list(tables.values())
    findings = tuple(dict.fromkeys(name for table in every for name in table.findings))
    for finding in wanted:
        if finding not in findings:
            raise DataError(
                f"none of the data sets has labels of {finding}",
                where="dataset.findings",
                remedy=f"They have {', '.join(findings)}.",
            )
    patients = [_patients(name, table) for name, table in tables.items()]
    names: dict[int, str] = {}
    for source, table, numbers_N in zip(tables, every, patients, strict=True):
        for own, number in zip(table.patients_N, numbers_N, strict=True):
            if own != number or own in table.patient_names:
                names[int(number)] = f"{source}/{table.patient_text(own)}"
    digests = {
        f"{source}-{role}": digest
        for source, table in tables.items()
        for role, digest in {"labels": table.digest, **table.other_digests}.items()
    }
    return LabelTable(
        path=every[0].path,
        kind=TOGETHER,
        version=" + ".join(table.version for table in every),
        label_version=" + ".join(table.label_version for table in every),
        images_N=np.concatenate(
            [
                np.array([f"{source}/{name}" for name in table.images_N], dtype=object)
                for source, table in tables.items()
            ]
        ),
        patients_N=np.concatenate(patients),
        patient_names=names,
        patients_are_known=all(table.patients_are_known for table in every),
        patients_of=_one_space(tables),
        findings=findings,
        labels_NA=_labels(every, findings, "labels_NA"),
        train_labels_NA=_labels(every, findings, "training_labels_NA"),
        states_NA=np.concatenate([_states(table, findings) for table in every]),
        policy=replace(
            every[0].policy,
            source="; ".join(f"{name}: {table.policy.source}" for name, table in tables.items()),
        ),
        policies={source: table.policy for source, table in tables.items()},
        age_years_N=_column(every, "age_years_N", np.nan, np.float64),
        sex_N=_column(every, "sex_N", "", object),
        view_N=_column(every, "view_N", "", object),
        official_N=_column(every, "official_N", "", object),
        source_N=np.concatenate(
            [np.full(len(table.images_N), source, object) for source, table in tables.items()]
        ),
        counts=tuple(
            Count(f"{source}: {count.reason}", count.images, count.examples)
            for source, table in tables.items()
            for count in table.counts
        ),
        digest=hashlib.sha256("\n".join(digests.values()).encode()).hexdigest(),
        other_digests=digests,
        notes=tuple(
            f"{source}: {note}" for source, table in tables.items() for note in table.notes
        ),
        labels_note=" ".join(dict.fromkeys(table.labels_note for table in every)),
    )


def of_source(table: LabelTable, source: str, own: LabelTable) -> LabelTable:
    """The rows of one source that are left, under that source's own kind and version."""
    assert table.source_N is not None
    rows = np.flatnonzero(table.source_N == source)
    return replace(table.take(rows), kind=own.kind, version=own.version)


def _refuse_unknown_overlap(tables: Mapping[str, LabelTable]) -> None:
    of_nih = [name for name, table in tables.items() if table.kind in IMAGES_OF_NIH]
    unknown = [name for name in of_nih if patient_space(tables[name]) != OF_NIH]
    if len(of_nih) > 1 and unknown:
        raise DataError(
            f"the images of {' and '.join(of_nih)} are NIH's, and the patients of "
            f"{' and '.join(unknown)} are unknown",
            where="datasets",
            why="The same patient could be trained on in one and tested on in the other",
            remedy="Put RSNA's mapping file beside its table, or leave one of them out.",
        )


def patient_space(table: LabelTable) -> str:
    """Whose patient numbers a table has; '' if only its own."""
    is_nihs = table.kind == "nih" and table.version.startswith("NIH")
    return OF_NIH if is_nihs else table.patients_of


def _one_space(tables: Mapping[str, LabelTable]) -> str:
    spaces = {patient_space(table) for table in tables.values()}
    return spaces.pop() if len(spaces) == 1 else ""


def _patients(source: str, table: LabelTable) -> npt.NDArray[np.int64]:
    """Numbers that differ between sources unless the patients are the same people."""
    space = patient_space(table)
    if space == OF_NIH:
        return table.patients_N
    number_of: dict[int, int] = {}
    for patient in set(table.patients_N.tolist()):
        number_of[patient] = number_together(space or source, table.patient_text(patient))
    numbers = map(number_of.__getitem__, table.patients_N.tolist())
    return np.fromiter(numbers, np.int64, len(table.patients_N))


def number_together(space: str, patient: str) -> int:
    """The number that a patient of another space than NIH's has among several data sets."""
    digest = hashlib.sha256(f"{space}\0{patient}".encode()).digest()
    return _NAMED_FROM + int.from_bytes(digest[:8], "big") % _NAMED_SPAN


def _labels(
    tables: Sequence[LabelTable], findings: Sequence[str], name: str
) -> npt.NDArray[np.float32]:
    parts = []
    for table in tables:
        own_NA = getattr(table, name)
        labels_NA = np.full((len(own_NA), len(findings)), np.nan, dtype=np.float32)
        for column, finding in enumerate(findings):
            if finding in table.findings:
                labels_NA[:, column] = own_NA[:, table.findings.index(finding)]
        parts.append(labels_NA)
    return np.concatenate(parts)


def _states(table: LabelTable, findings: Sequence[str]) -> npt.NDArray[np.int8]:
    states_NA = np.full((len(table.images_N), len(findings)), UNKNOWN, dtype=np.int8)
    if table.states_NA is None:
        own_NA = np.where(np.isnan(table.labels_NA), UNKNOWN, table.labels_NA).astype(np.int8)
    else:
        own_NA = table.states_NA
    for column, finding in enumerate(findings):
        if finding in table.findings:
            states_NA[:, column] = own_NA[:, table.findings.index(finding)]
    return states_NA


def _column(tables: Sequence[LabelTable], name: str, missing: object, dtype: Any) -> Any:
    """A column of all sources; None if no source has it."""
    values = [getattr(table, name) for table in tables]
    if all(column is None for column in values):
        return None
    return np.concatenate(
        [
            np.full(len(table.images_N), missing, dtype=dtype) if column is None else column
            for table, column in zip(tables, values, strict=True)
        ]
    )


def sources_of(images_N: npt.NDArray[np.object_], recipe: Recipe) -> npt.NDArray[np.object_] | None:
    """The data set of each image; None if the recipe has one."""
    if not recipe.datasets:
        return None
    return np.array([name.partition("/")[0] for name in images_N], dtype=object)
